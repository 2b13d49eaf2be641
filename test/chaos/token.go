//go:build linux

package chaos

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// holder draws a user of the writer with an access token, which the server makes without a sign-in; false when the user may not sign in,
// or the server cannot be asked.
func (w *Writer) holder() (object, token string, ok bool) {
	object, ok = w.user()
	if !ok || w.model[object][fieldStatus] != "CONFIRMED" || w.model[object][fieldEnabled] != "true" {
		return "", "", false
	}
	body, err := json.Marshal(map[string]string{"pool": w.Pool, "client": sharedClient, "username": userName(object)})
	if err != nil {
		return "", "", false
	}
	resp, err := w.http.Post(w.endpoint+"/_poolhouse/tokens", "application/json", strings.NewReader(string(body)))
	if err != nil {
		return "", "", false
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	var issued struct {
		AuthenticationResult struct{ AccessToken string }
	}
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(text, &issued) != nil {
		return "", "", false
	}
	return object, issued.AuthenticationResult.AccessToken, true
}

// own makes a call that a user makes about itself. A round may move the clock past the life of the token.
func (w *Writer) own(object, token string, e Effect, input map[string]any) Call {
	c := w.about(object, e, input)
	delete(c.Input, "UserPoolId")
	delete(c.Input, "Username")
	c.Input["AccessToken"], c.Refused = token, []string{"NotAuthorizedException"}
	return c
}

// changeOwn gives the user another address, to which a code goes.
func changeOwn(w *Writer) (Call, bool) {
	object, token, ok := w.holder()
	address, mark := w.unique("a")+"@example.com", w.unique("m")
	set := map[string]string{"email": address, "nickname": mark, "custom:mark": mark}
	given := attributes(set)
	set["email_verified"], set[fieldCode] = "false", address
	return w.own(object, token, Effect{Kind: Change, Mail: address, Set: set}, map[string]any{"UserAttributes": given}), ok
}

// verifyOwn verifies the user's address by the code in the inbox, where there is one: it may be too old, or one of too many in this hour.
func verifyOwn(w *Writer) (Call, bool) {
	object, token, ok := w.holder()
	address := w.model[object]["email"]
	if !ok || address == "" || w.model[object][fieldCode] != address {
		return Call{}, false
	}
	code, ok := w.mailed(address)
	c := w.own(object, token, Effect{Kind: Change, Set: map[string]string{"email_verified": "true", fieldCode: ""}},
		map[string]any{"AttributeName": "email", "Code": code})
	c.Refused = append(c.Refused, "ExpiredCodeException", "LimitExceededException")
	return c, ok
}

func unmarkOwn(w *Writer) (Call, bool) {
	object, token, ok := w.holder()
	return w.own(object, token, Effect{Kind: Change, Set: map[string]string{"nickname": "", "custom:mark": ""}},
		map[string]any{"UserAttributeNames": []string{"nickname", "custom:mark"}}), ok
}

func signOutOwn(w *Writer) (Call, bool) {
	object, token, ok := w.holder()
	return w.own(object, token, Effect{Kind: Change}, nil), ok
}

func getOwn(w *Writer) (Call, bool) {
	object, token, ok := w.holder()
	return w.own(object, token, Effect{}, nil), ok
}

func deleteOwn(w *Writer) (Call, bool) {
	object, token, ok := w.holder()
	return w.own(object, token, Effect{Kind: Destroy}, nil), ok
}
