// Package login holds the pages that the users of a pool see in their browsers. So far it is one: the page behind the
// link in the e-mail of a sign-up.
//
// A page decides nothing: it makes the same call that a program would, through the pipeline of package dispatch, and
// shows what came of it. Which host and path are its, is the edge's to say; pages for operators are next door in package
// console.
package login

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

//go:embed confirm.html
var files embed.FS

// Confirm is the page that confirms a sign-up.
type Confirm struct {
	pipeline *dispatch.Pipeline
	region   string
	page     *template.Template
}

// NewConfirm makes the page. Its calls count against the quotas of the region.
func NewConfirm(p *dispatch.Pipeline, region string) (*Confirm, error) {
	page, err := template.ParseFS(files, "confirm.html")
	if err != nil {
		return nil, fmt.Errorf("read page: %w", err)
	}
	return &Confirm{pipeline: p, region: region, page: page}, nil
}

// shown is what the page says.
type shown struct {
	Title, Text string
	Again       string // the address of the link when it has to be opened once more
}

// Serve answers a link: it confirms the user by the code in it, by the way of ConfirmSignUp, and says what came of it.
// requestID and source are those of the call. Whoever only looks at what is behind a link changes nothing: HEAD, and a
// browser that fetches ahead of its user.
//
// Evidence: the path and the members are documented, the texts of the page are ours.
func (c *Confirm) Serve(w http.ResponseWriter, r *http.Request, requestID, source string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "This page is opened by a link.", http.StatusMethodNotAllowed)
		return
	}
	if r.Method == http.MethodHead || ahead(r) {
		c.show(w, http.StatusOK, shown{Title: "Confirm your registration", Text: "Open the link to confirm your registration.", Again: "?" + r.URL.RawQuery})
		return
	}
	given, whole := read(r.URL.Query())
	if !whole {
		c.show(w, http.StatusBadRequest, shown{Title: "This link does not work", Text: "Part of the link is missing. Copy all of it from the message."})
		return
	}
	reply := c.pipeline.Serve(r.Context(), &dispatch.Request{ID: requestID, Operation: api.ConfirmSignUp.Name, Region: c.region, Source: source,
		UserAgent: r.UserAgent(), Hosted: true, Inbound: given})
	if reply.Err == nil {
		c.show(w, http.StatusOK, shown{Title: "Your registration has been confirmed!", Text: "You can close this page and sign in."})
		return
	}
	c.show(w, status(reply.Err), shown{Title: "Your registration could not be confirmed", Text: reply.Err.Message})
}

// ahead reports whether a browser asks that wants to have the page before its user does.
func ahead(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		if value := strings.ToLower(r.Header.Get(name)); strings.Contains(value, "prefetch") || strings.Contains(value, "prerender") || strings.Contains(value, "preview") {
			return true
		}
	}
	return false
}

func status(f *fault.Error) int {
	switch {
	case f.Code.Server():
		return http.StatusInternalServerError
	case f.Code == fault.TooManyRequestsException || f.Code == fault.LimitExceededException || f.Code == fault.TooManyFailedAttemptsException:
		return http.StatusTooManyRequests
	}
	return http.StatusBadRequest
}

func (c *Confirm) show(w http.ResponseWriter, status int, s shown) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // the address holds the code
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = c.page.Execute(w, s) // fails only when the reader has gone, whom nobody can tell
}

// link is what a link says, as the input of ConfirmSignUp.
type link struct{ client, user, code string }

// read reads the members of a link; whole says that each is there once.
func read(q url.Values) (l link, whole bool) {
	for name, into := range map[string]*string{"client_id": &l.client, "user_name": &l.user, "confirmation_code": &l.code} {
		if len(q[name]) != 1 || q[name][0] == "" {
			return link{}, false
		}
		*into = q[name][0]
	}
	return l, true
}

// Authenticate refuses: the page makes public calls only.
func (link) Authenticate(context.Context, *api.Spec) (dispatch.Principal, error) {
	return dispatch.Principal{}, errors.New("a page has no key")
}

// Decode fills the input.
func (l link) Decode(_ *api.Spec, into any) (dispatch.Missing, error) {
	in, ok := into.(*api.ConfirmSignUpInput)
	if !ok {
		return nil, fmt.Errorf("a link does not fill a %T", into)
	}
	in.ClientId, in.Username, in.ConfirmationCode = l.client, l.user, secret.New(l.code)
	return nil, nil
}
