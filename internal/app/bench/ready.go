package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// people is how many users get tokens at most. Each may use 15 codes in an hour.
const people = 4000

// ready makes what the requests of an operation need besides the users of the pool: an app client, and tokens of users, which only a
// development server gives away.
func (t *target) ready(ctx context.Context, o *operation) error {
	if (o.client || o.token) && t.about.client == "" {
		body, err := call(ctx, t.maker, "CreateUserPoolClient", fmt.Sprintf(`{"UserPoolId":%q,"ClientName":"bench","AccessTokenValidity":24,`+
			`"ExplicitAuthFlows":["ALLOW_USER_PASSWORD_AUTH","ALLOW_USER_SRP_AUTH","ALLOW_REFRESH_TOKEN_AUTH"]}`, t.about.pool))
		if err != nil {
			return err
		}
		var out struct{ UserPoolClient struct{ ClientId string } }
		if err := json.Unmarshal(body, &out); err != nil || out.UserPoolClient.ClientId == "" {
			return fmt.Errorf("CreateUserPoolClient answered no client id: %s", body)
		}
		t.about.client = out.UserPoolClient.ClientId
	}
	if o.token && t.about.tokens == nil {
		return t.issue(ctx)
	}
	return nil
}

// leave removes the app client that ready made.
func (t *target) leave(ctx context.Context) error {
	if t.about.client == "" {
		return nil
	}
	_, err := call(ctx, t.maker, "DeleteUserPoolClient", fmt.Sprintf(`{"UserPoolId":%q,"ClientId":%q}`, t.about.pool, t.about.client))
	t.about.client, t.about.tokens, t.about.renews, t.about.codes = "", nil, nil, nil
	return err
}

// password is that of users with tokens, a permanent one.
const password = "Permanent-1"

// issue makes tokens for the first users, who get permanent passwords, without which nobody signs in.
func (t *target) issue(ctx context.Context) error {
	n := min(t.users, people)
	err := t.each(ctx, n, "AdminSetUserPassword", func(to []byte, u uint64) []byte {
		return append(aboutUser(to, t.about.pool, u), `,"Password":"`+password+`","Permanent":true}`...)
	})
	if err != nil {
		return err
	}
	tokens, renews := make([]string, n), make([]string, n)
	err = parallel(ctx, n, func(i int) error {
		body := fmt.Sprintf(`{"pool":%q,"client":%q,"username":%q}`, t.about.pool, t.about.client, userName(uint64(i)))
		var out struct {
			AuthenticationResult struct{ AccessToken, RefreshToken string }
		}
		if err := t.ask(ctx, http.MethodPost, "tokens", body, &out); err != nil {
			return err
		}
		tokens[i], renews[i] = out.AuthenticationResult.AccessToken, out.AuthenticationResult.RefreshToken
		if tokens[i] == "" || renews[i] == "" {
			return errors.New("the development server gave no tokens")
		}
		return nil
	})
	if err == nil {
		t.about.tokens, t.about.renews = tokens, renews
	}
	return err
}

// renew sends every user with a token a code for a changed address, and reads the codes from the inbox.
func (t *target) renew(ctx context.Context) error {
	const group = 500 // the inbox is read in pages
	codes := make([]string, len(t.about.tokens))
	run := strconv.FormatInt(time.Now().UnixNano(), 36)
	for first := 0; first < len(codes); first += group {
		n := min(group, len(codes)-first)
		err := t.each(ctx, n, "AdminUpdateUserAttributes", func(to []byte, i uint64) []byte {
			u := uint64(first) + i
			to = append(aboutUser(to, t.about.pool, u), `,"UserAttributes":[{"Name":"email","Value":"`...)
			return append(append(append(append(append(to, userName(u)...), '.'), run...), `@example.com"}`...), `]}`...)
		})
		if err != nil {
			return err
		}
		var inbox struct {
			Messages []struct{ Username, To, Code string } `json:"messages"`
		}
		if err := t.ask(ctx, http.MethodGet, "inbox.json?limit=1000&pool="+url.QueryEscape(t.about.pool), "", &inbox); err != nil {
			return err
		}
		sent := make(map[string]string, n)
		for _, m := range inbox.Messages {
			sent[m.To] = m.Code
		}
		for u := first; u < first+n; u++ {
			name := userName(uint64(u))
			if codes[u] = sent[name+"."+run+"@example.com"]; codes[u] == "" {
				return fmt.Errorf("no code for %s is in the inbox: only a development server's own pool can be measured", name)
			}
		}
	}
	t.about.codes = codes
	return nil
}

// each sends n requests, not measured.
func (t *target) each(ctx context.Context, n int, operation string, body func(to []byte, i uint64) []byte) error {
	var next atomic.Uint64
	l := load{address: t.address, connections: min(n, 16), count: uint64(n), next: &next, request: func(to []byte, i uint64) []byte {
		var space [1024]byte
		return t.maker.Append(to, operation, body(space[:0], i))
	}}
	got, err := l.run(ctx)
	if err == nil && got.errors > 0 {
		err = fmt.Errorf("%d of %d were refused: %s", got.errors, n, got.first)
	}
	if err != nil {
		return fmt.Errorf("prepare by %s: %w", operation, err)
	}
	return nil
}

// ask asks what only a development server answers.
func (t *target) ask(ctx context.Context, method, what, body string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+t.address+"/_poolhouse/"+what, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Timeout: time.Minute}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server does not answer as a development server: %s %s", resp.Status, bytes.TrimSpace(text))
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}

// parallel calls fn for every number below n, some at a time, until the first error.
func parallel(ctx context.Context, n int, fn func(i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(n, 16) {
		group.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1) - 1)
				if i >= n {
					return
				}
				if err := fn(i); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}
