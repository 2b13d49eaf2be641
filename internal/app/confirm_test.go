package app_test

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// visit opens a page and returns its status and text.
func visit(t *testing.T, method, address string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	want.NoError(t, err)
	req.Header.Set("Sec-Fetch-Site", "cross-site") // from the page of a mail reader
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	res, err := client.Do(req)
	want.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	want.NoError(t, err)
	want.NoError(t, res.Body.Close())
	return res.StatusCode, string(body)
}

// TestConfirmationLink signs a user up in a pool that confirms by links, by a client with a secret, and follows the link.
func TestConfirmationLink(t *testing.T) {
	t.Parallel()
	a := start(t, options(t))
	call := func(operation, body string, into any) {
		t.Helper()
		status, text := plain(t, a.Endpoint(), operation, "", body)
		want.True(t, status == http.StatusOK, "%s answers %d %s", operation, status, text)
		if into != nil {
			want.NoError(t, json.Unmarshal([]byte(text), &struct{ Data any }{into}))
		}
	}
	var made struct {
		UserPool       struct{ Id string }
		UserPoolClient struct{ ClientId string }
	}
	call("CreateUserPool", `{"PoolName":"p","AutoVerifiedAttributes":["email"],"VerificationMessageTemplate":{"DefaultEmailOption":"CONFIRM_WITH_LINK"}}`, &made)
	call("CreateUserPoolClient", `{"UserPoolId":"`+made.UserPool.Id+`","ClientName":"c"}`, &made)
	call("SignUp", fmt.Sprintf(`{"ClientId":%q,"Username":"jane","Password":"Passw0rd!","UserAttributes":[{"Name":"email","Value":"jane@example.com"}]}`, made.UserPoolClient.ClientId), nil)

	var inbox struct {
		Messages []struct{ Subject, Body string }
	}
	_, text := visitJSON(t, a.Endpoint()+"/_poolhouse/inbox.json")
	want.NoError(t, json.Unmarshal([]byte(text), &inbox))
	want.Equal(t, len(inbox.Messages), 1)
	want.Equal(t, inbox.Messages[0].Subject, "Your verification link")
	found := regexp.MustCompile(`<a href="([^"]+)">Verify Email</a>`).FindStringSubmatch(inbox.Messages[0].Body)
	want.Equal(t, len(found), 2)
	link := html.UnescapeString(found[1])
	want.True(t, strings.HasPrefix(link, a.Endpoint()+"/confirmUser/?client_id="+made.UserPoolClient.ClientId+"&"), "link %s", link)

	state := func() (s struct{ UserStatus string }) {
		call("AdminGetUser", `{"UserPoolId":"`+made.UserPool.Id+`","Username":"jane"}`, &s)
		return s
	}
	status, _ := visit(t, http.MethodHead, link)
	want.Equal(t, []any{status, state().UserStatus}, []any{http.StatusOK, "UNCONFIRMED"})
	status, page := visit(t, http.MethodGet, link)
	want.Equal(t, []any{status, state().UserStatus}, []any{http.StatusOK, "CONFIRMED"})
	want.Contains(t, page, "Your registration has been confirmed!")
	status, page = visit(t, http.MethodGet, strings.Replace(link, "/confirmUser/?", "/confirmUser?", 1))
	want.Equal(t, status, http.StatusBadRequest)
	want.Contains(t, page, "User cannot be confirmed. Current status is CONFIRMED")
}

func visitJSON(t *testing.T, address string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	want.NoError(t, err)
	res, err := client.Do(req)
	want.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	want.NoError(t, err)
	want.NoError(t, res.Body.Close())
	return res.StatusCode, string(body)
}
