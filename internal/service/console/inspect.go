package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/kit/totp"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/tokens"
)

// tokenLimit bounds a token that somebody pastes, with what is around it.
const tokenLimit = 256 << 10

// tokenJSON is what the server knows of a token.
type tokenJSON struct {
	Kind    string          `json:"kind"`
	Pool    string          `json:"pool,omitempty"`
	Header  json.RawMessage `json:"header,omitempty"`
	Claims  json.RawMessage `json:"claims,omitempty"`
	Expires string          `json:"expires,omitempty"`
	Good    bool            `json:"good"`
	Faults  []string        `json:"faults"`
	SignIn  *signInJSON     `json:"sign_in,omitempty"`
}

func asToken(i *tokens.Inspection) *tokenJSON {
	out := &tokenJSON{Kind: i.Kind, Pool: i.PoolID, Header: i.Header, Claims: i.Claims, Good: len(i.Faults) == 0, Faults: list(i.Faults)}
	if !i.Expires.IsZero() {
		out.Expires = instant(i.Expires)
	}
	if i.Family != nil {
		s := asSignIn(i.Family)
		out.SignIn = &s
	}
	return out
}

// tokenPage is the page on which a token is pasted.
type tokenPage struct {
	frame
	Token *tokenJSON // nil: nothing was pasted yet
}

// Lines is JSON for people.
func (tokenPage) Lines(text json.RawMessage) string {
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return string(text)
	}
	return out.String()
}

// inspectToken says of a token, {"token":"..."} or a form with a field of that name, what it holds and whether it is good.
func (c *Console) inspectToken(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, tokenLimit)
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	form := err == nil && kind == "application/x-www-form-urlencoded"
	var in struct {
		Token string `json:"token"`
	}
	if form {
		err = r.ParseForm()
		in.Token = r.PostForm.Get("token")
	} else {
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		err = d.Decode(&in)
	}
	if err != nil || strings.TrimSpace(in.Token) == "" {
		c.fail(w, r, badRequest(`send {"token":"TOKEN"}`))
		return
	}
	found, err := c.Tokens.Inspect(r.Context(), secret.New(in.Token))
	switch {
	case err != nil:
		c.fail(w, r, err)
	case form:
		c.page(w, r, "token", tokenPage{c.frame("Token"), asToken(found)})
	default:
		c.json(w, asToken(found))
	}
}

// softwareTokenJSON is a user's authenticator app with the code that it shows.
type softwareTokenJSON struct {
	Name     string `json:"name,omitempty"`
	Verified bool   `json:"verified"`
	// Code is the code to give now, "" while the next one that was not used is not good yet: then it is at From.
	Code string `json:"code"`
	From string `json:"from,omitempty"`
	// Pending is the first code of an app that waits for it.
	Pending string `json:"pending,omitempty"`
}

// softwareToken is the app of a user; nil: none.
func softwareToken(v store.View, poolID, sub string, now time.Time) (*softwareTokenJSON, error) {
	t, err := v.SoftwareTokens().Get(poolID, sub)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return showSoftwareToken(t, now), nil
}

func showSoftwareToken(t *credential.SoftwareToken, now time.Time) *softwareTokenJSON {
	out := &softwareTokenJSON{Name: t.Name, Verified: t.Verified()}
	step, ok := totp.Next(t.Last, now)
	if !ok {
		out.From = instant((step - 2).Ends()) // a code is good a step early
		return out
	}
	if out.Verified {
		out.Code = totp.Code(t.Key, step)
	}
	if t.Pending != nil {
		out.Pending = totp.Code(t.Pending, step)
	}
	return out
}

// codesJSON is how codes are drawn.
type codesJSON struct {
	Fixed string `json:"fixed"` // what all of them are; "": each is another
}

func (c *Console) showCodes(w http.ResponseWriter, _ *http.Request) {
	c.json(w, codesJSON{c.Tokens.Chance.FixedCode()})
}

// ValidCode reports whether every code may be this one: six digits.
func ValidCode(code string) bool {
	return len(code) == totp.Digits && strings.Trim(code, "0123456789") == ""
}

// fixCodes makes all codes the same, {"fixed":"123456"}, or has them drawn again, {"fixed":""}.
func (c *Console) fixCodes(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Fixed *string `json:"fixed"`
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyLimit))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil || in.Fixed == nil || *in.Fixed != "" && !ValidCode(*in.Fixed) {
		c.fail(w, r, badRequest(`send {"fixed":"123456"}, six digits, or {"fixed":""}`))
		return
	}
	c.Tokens.Chance.FixCodes(*in.Fixed)
	c.showCodes(w, r)
}
