package clients_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	idp "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/smithy-go"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// sdk is a client of the Go SDK for the server.
func (s *server) sdk(more ...func(*idp.Options)) *idp.Client {
	return idp.New(idp.Options{
		BaseEndpoint: aws.String(s.Endpoint), Region: s.Region, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(s.AccessKeyID, s.SecretAccessKey, ""),
		HTTPClient:  &http.Client{Transport: whole{&http.Transport{}}},
	}, more...)
}

// whole hands over an answer when it is there as a whole. Left to itself this SDK closes, once in a thousand times, its connection while
// it reads an answer of more than 4 KiB; it does so with a bare net/http handler on the other side too. Its retries, which are off here
// so that refusals are seen as they are, hide that from others.
type whole struct{ http.RoundTripper }

func (w whole) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := w.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(text))
	return answer, nil
}

func pairs(values ...string) []types.AttributeType {
	var list []types.AttributeType
	for i := 0; i < len(values); i += 2 {
		list = append(list, types.AttributeType{Name: aws.String(values[i]), Value: aws.String(values[i+1])})
	}
	return list
}

// sdkPool makes a pool with users.
func sdkPool(t *testing.T, c *idp.Client, settings *idp.CreateUserPoolInput, users ...string) string {
	t.Helper()
	settings.PoolName = aws.String("go")
	made, err := c.CreateUserPool(t.Context(), settings)
	want.NoError(t, err)
	for _, name := range users {
		_, err := c.AdminCreateUser(t.Context(), &idp.AdminCreateUserInput{UserPoolId: made.UserPool.Id, Username: aws.String(name),
			MessageAction: types.MessageActionTypeSuppress})
		want.NoError(t, err)
	}
	return *made.UserPool.Id
}

func sdkAttributes(t *testing.T, c *idp.Client, pool, user string) map[string]string {
	t.Helper()
	got, err := c.AdminGetUser(t.Context(), &idp.AdminGetUserInput{UserPoolId: &pool, Username: &user})
	want.NoError(t, err)
	all := map[string]string{}
	for _, a := range got.UserAttributes {
		all[*a.Name] = *a.Value
	}
	return all
}

// typed stops the test unless err is an exception of type T with this text, and the client's fault.
func typed[T interface {
	error
	smithy.APIError
}](t *testing.T, err error, message string,
) {
	t.Helper()
	e, ok := errors.AsType[T](err)
	if !ok {
		t.Fatalf("got error %v, wanted %T", err, *new(T))
	}
	want.Equal(t, e.ErrorMessage(), message)
	want.Equal(t, e.ErrorFault(), smithy.FaultClient)
}

func TestGoSDK(t *testing.T) {
	t.Parallel()
	s := dev(t)
	c := s.sdk()

	t.Run("update", func(t *testing.T) {
		t.Parallel()
		pool := sdkPool(t, c, &idp.CreateUserPoolInput{}, "ann")
		_, err := c.AdminUpdateUserAttributes(t.Context(), &idp.AdminUpdateUserAttributesInput{UserPoolId: &pool, Username: aws.String("ann"),
			UserAttributes: pairs("email", "ann@example.com", "email_verified", "true", "nickname", "Größe 😀")})
		want.NoError(t, err)
		got := sdkAttributes(t, c, pool, "ann")
		delete(got, "sub")
		want.Equal(t, got, map[string]string{"email": "ann@example.com", "email_verified": "true", "nickname": "Größe 😀"})
	})

	t.Run("typed errors", func(t *testing.T) {
		t.Parallel()
		pool := sdkPool(t, c, &idp.CreateUserPoolInput{UsernameAttributes: []types.UsernameAttributeType{types.UsernameAttributeTypeEmail}},
			"one@example.com", "two@example.com")
		update := func(pool, user string, attributes ...string) error {
			_, err := c.AdminUpdateUserAttributes(t.Context(), &idp.AdminUpdateUserAttributesInput{UserPoolId: &pool, Username: &user,
				UserAttributes: pairs(attributes...)})
			return err
		}
		typed[*types.AliasExistsException](t, update(pool, "two@example.com", "email", "one@example.com"), "An account with the given email already exists.")
		typed[*types.InvalidParameterException](t, update(pool, "two@example.com", "sub", "x"), "Cannot modify the non-mutable attribute sub")
		typed[*types.UserNotFoundException](t, update(pool, "nobody", "name", "x"), "User does not exist.")
		typed[*types.ResourceNotFoundException](t, update("us-east-1_000000000", "nobody", "name", "x"), "User pool us-east-1_000000000 does not exist.")
		_, err := c.AdminCreateUser(t.Context(), &idp.AdminCreateUserInput{UserPoolId: &pool, Username: aws.String("one@example.com")})
		typed[*types.UsernameExistsException](t, err, "User account already exists")
		_, err = c.AdminSetUserPassword(t.Context(), &idp.AdminSetUserPasswordInput{UserPoolId: &pool, Username: aws.String("one@example.com"), Password: aws.String("short")})
		typed[*types.InvalidPasswordException](t, err, "Password does not conform to policy: Password not long enough")
	})

	t.Run("paginators", func(t *testing.T) {
		t.Parallel()
		pool := sdkPool(t, c, &idp.CreateUserPoolInput{}, "u0", "u1", "u2", "u3", "u4")
		seen := map[string]bool{}
		for pages := idp.NewListUsersPaginator(c, &idp.ListUsersInput{UserPoolId: &pool, Limit: aws.Int32(2)}); pages.HasMorePages(); {
			page, err := pages.NextPage(t.Context())
			want.NoError(t, err)
			for _, u := range page.Users {
				want.True(t, !seen[*u.Username], "%s comes once", *u.Username)
				seen[*u.Username] = true
			}
		}
		want.Equal(t, len(seen), 5)
	})

	t.Run("parallel updates lose nothing", func(t *testing.T) {
		t.Parallel()
		const writers, rounds = 16, 10
		var schema []types.SchemaAttributeType
		for n := range writers {
			schema = append(schema, types.SchemaAttributeType{Name: aws.String(fmt.Sprintf("a%d", n)), AttributeDataType: types.AttributeDataTypeString})
		}
		pool := sdkPool(t, c, &idp.CreateUserPoolInput{Schema: schema}, "ann")
		var wg sync.WaitGroup
		errs := make([]error, writers)
		for n := range writers {
			wg.Go(func() {
				for round := range rounds {
					_, err := c.AdminUpdateUserAttributes(t.Context(), &idp.AdminUpdateUserAttributesInput{UserPoolId: &pool, Username: aws.String("ann"),
						UserAttributes: pairs(fmt.Sprintf("custom:a%d", n), fmt.Sprint(round))})
					errs[n] = errors.Join(errs[n], err)
				}
			})
		}
		wg.Wait()
		want.NoError(t, errors.Join(errs...))
		got := sdkAttributes(t, c, pool, "ann")
		for n := range writers {
			want.Equal(t, got[fmt.Sprintf("custom:a%d", n)], fmt.Sprint(rounds-1))
		}
	})

	t.Run("retry after a lost answer", func(t *testing.T) {
		t.Parallel()
		pool := sdkPool(t, c, &idp.CreateUserPoolInput{}, "ann")
		lossy := &loser{}
		again := s.sdk(func(o *idp.Options) {
			o.HTTPClient = &http.Client{Transport: lossy}
			o.RetryMaxAttempts = 3
			o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
		})
		_, err := again.AdminUpdateUserAttributes(t.Context(), &idp.AdminUpdateUserAttributesInput{UserPoolId: &pool, Username: aws.String("ann"),
			UserAttributes: pairs("nickname", "twice")})
		want.NoError(t, err)
		want.Equal(t, lossy.sent.Load(), int64(2))
		want.Equal(t, sdkAttributes(t, c, pool, "ann")["nickname"], "twice")
	})

	t.Run("not built", func(t *testing.T) {
		t.Parallel()
		pool := sdkPool(t, c, &idp.CreateUserPoolInput{})
		_, err := c.GetSigningCertificate(t.Context(), &idp.GetSigningCertificateInput{UserPoolId: &pool})
		e, ok := errors.AsType[smithy.APIError](err)
		want.True(t, ok, "%v is an error of the API", err)
		want.Equal(t, e.ErrorCode(), "UnsupportedOperationException")
	})
}

// A loser delivers the first request and loses its answer.
type loser struct{ sent atomic.Int64 }

func (l *loser) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(r)
	if l.sent.Add(1) == 1 && err == nil {
		_, err = io.Copy(io.Discard, answer.Body)
		return nil, errors.Join(err, answer.Body.Close(), &lost{})
	}
	return answer, err
}

type lost struct{}

func (*lost) Error() string   { return "connection reset by peer" }
func (*lost) Timeout() bool   { return true }
func (*lost) Temporary() bool { return true }

// TestSignatures sends requests that are signed with the SDK's own signer, and then spoilt.
func TestSignatures(t *testing.T) {
	t.Parallel()
	s := verified(t)
	const body = `{"MaxResults":1}`
	now := time.Now()
	type request struct {
		host, service, hash string
		at                  time.Time
		spoil               func(*http.Request)
	}
	sum := func(text string) string {
		h := sha256.Sum256([]byte(text))
		return hex.EncodeToString(h[:])
	}
	for _, c := range []struct {
		name    string
		request request
		code    string // empty: it is answered
		message string // what the message begins with
	}{
		{"right", request{}, "", ""},
		{"twice within the window", request{}, "", ""},
		// The machine's clock may leap meanwhile, as after a pause of a virtual machine. The exact limits are tested with a clock of their own.
		{"two minutes ago", request{at: now.Add(-2 * time.Minute)}, "", ""},
		{"two minutes ahead", request{at: now.Add(2 * time.Minute)}, "", ""},
		{"ten minutes ago", request{at: now.Add(-10 * time.Minute)}, "InvalidSignatureException", "Signature expired: "},
		{"ten minutes ahead", request{at: now.Add(10 * time.Minute)}, "InvalidSignatureException", "Signature not yet current: "},
		{"host of another region", request{host: "cognito-idp.eu-west-1.amazonaws.com"}, "InvalidSignatureException", "Credential should be scoped to a valid region."},
		{"host of the region", request{host: "cognito-idp.us-east-1.amazonaws.com"}, "", ""},
		{"another service", request{service: "sqs"}, "InvalidSignatureException", "Credential should be scoped to correct service: 'cognito-idp'."},
		{"another body", request{spoil: func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(`{"MaxResults":2}`))
		}}, "InvalidSignatureException", "The request signature we calculated does not match"},
		{"another operation", request{spoil: func(r *http.Request) {
			r.Header.Set("X-Amz-Target", target+"CreateUserPool")
		}}, "InvalidSignatureException", "The request signature we calculated does not match"},
		{"unsigned payload", request{hash: "UNSIGNED-PAYLOAD", spoil: func(r *http.Request) {
			r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
		}}, "InvalidSignatureException", ""},
		{"no signature", request{spoil: func(r *http.Request) { r.Header.Del("Authorization") }}, "MissingAuthenticationTokenException", "Missing Authentication Token"},
		{"half a signature", request{spoil: func(r *http.Request) {
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+s.AccessKeyID)
		}}, "IncompleteSignatureException", "Authorization header requires 'Signature' parameter."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			q := c.request
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Endpoint+"/", strings.NewReader(body))
			want.NoError(t, err)
			r.Header.Set("Content-Type", "application/x-amz-json-1.1")
			r.Header.Set("X-Amz-Target", target+"ListUserPools")
			if q.host != "" {
				r.Host = q.host
			}
			if q.at.IsZero() {
				q.at = now
			}
			if q.hash == "" {
				q.hash = sum(body)
			}
			if q.service == "" {
				q.service = "cognito-idp"
			}
			if q.hash == "UNSIGNED-PAYLOAD" {
				q.spoil(r)
				q.spoil = nil
			}
			key := aws.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey}
			want.NoError(t, v4.NewSigner().SignHTTP(context.WithoutCancel(t.Context()), key, r, q.hash, q.service, s.Region, q.at))
			if q.spoil != nil {
				q.spoil(r)
			}
			times := 1
			if strings.HasPrefix(c.name, "twice") {
				times = 2
			}
			for range times {
				again := r.Clone(t.Context())
				if c.name != "another body" {
					again.Body = io.NopCloser(strings.NewReader(body))
				}
				answer, err := http.DefaultTransport.RoundTrip(again)
				want.NoError(t, err)
				var text bytes.Buffer
				_, err = io.Copy(&text, answer.Body)
				want.NoError(t, errors.Join(err, answer.Body.Close()))
				got, _, _ := strings.Cut(answer.Header.Get("X-Amzn-Errortype"), ":")
				if got != c.code || (c.code == "") != (answer.StatusCode == 200) {
					t.Fatalf("got %d %s %s, wanted %q", answer.StatusCode, got, text.String(), c.code)
				}
				if c.message != "" {
					want.Contains(t, text.String(), `"message":"`+c.message)
				}
			}
		})
	}
}
