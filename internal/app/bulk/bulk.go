// Package bulk changes attributes of very many users at any cognito-idp endpoint, as fast as the endpoint allows: users are listed
// while those listed before are changed, calls go out over connections that stay open, and an endpoint that says it is asked too much is
// asked less. Users who have the wanted values already are left alone, so that doing it twice is doing it once.
//
// A run can be recorded in a file, and a killed run goes on from there. Who decides and what is printed is next door in internal/cli; how
// a call is made is in package caller.
package bulk

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/poolhouse/poolhouse/internal/app/caller"
)

// A Change says which users get what.
type Change struct {
	Pool   string
	Filter string            // of ListUsers; empty: all users
	Set    map[string]string // attributes with their new values
	Unset  []string          // attributes to remove
}

// maxName and maxValue bound attributes, as the API does.
const (
	maxName  = 32
	maxValue = 2048
)

// Check refuses changes that no endpoint could carry out.
func (c *Change) Check() error {
	if c.Pool == "" {
		return errors.New("no pool is named")
	}
	if len(c.Set) == 0 && len(c.Unset) == 0 {
		return errors.New("nothing is to be set or removed")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Set)) {
		if err := checkName(name); err != nil {
			return err
		}
		value := c.Set[name]
		switch {
		case value == "":
			return fmt.Errorf("%s would be set to nothing: unset it", name)
		case !utf8.ValidString(value) || utf8.RuneCountInString(value) > maxValue:
			return fmt.Errorf("the value of %s must be text of at most %d characters", name, maxValue)
		case slices.Contains(c.Unset, name):
			return fmt.Errorf("%s would be both set and removed", name)
		}
	}
	for i, name := range c.Unset {
		if err := checkName(name); err != nil {
			return err
		}
		if slices.Contains(c.Unset[:i], name) {
			return fmt.Errorf("%s would be removed twice", name)
		}
	}
	return nil
}

func checkName(name string) error {
	switch {
	case name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxName:
		return fmt.Errorf("%q is no name of an attribute: 1 to %d characters", name, maxName)
	case name == "sub":
		return errors.New("sub never changes")
	}
	return nil
}

// need is what a user lacks of a change.
type need struct{ set, unset bool }

// needs compares a user with the change. What is set is set as a whole: an address and its flag belong together.
func (c *Change) needs(u *User) (n need) {
	for name, value := range c.Set {
		if has, ok := u.attribute(name); !ok || has != value {
			n.set = true
		}
	}
	for _, name := range c.Unset {
		if _, ok := u.attribute(name); ok {
			n.unset = true
		}
	}
	return n
}

// A User is what a list says of one.
type User struct {
	Username   string
	Attributes []Attribute
}

// An Attribute is a name with a value.
type Attribute struct{ Name, Value string }

func (u *User) attribute(name string) (string, bool) {
	for i := range u.Attributes {
		if u.Attributes[i].Name == name {
			return u.Attributes[i].Value, true
		}
	}
	return "", false
}

// A Refusal is a user who was not changed, and why.
type Refusal struct {
	User    string `json:"user"`
	Code    string `json:"code"`
	Message string `json:"message,omitempty"`
}

// aboutUser begins a body that names a user of a pool; the name comes next.
func aboutUser(pool string) []byte {
	return append(appendText([]byte(`{"UserPoolId":`), pool), `,"Username":`...)
}

// bodies are the ready parts of the requests that change users.
type bodies struct{ about, set, unset []byte }

func (c *Change) bodies() bodies {
	b := bodies{about: aboutUser(c.Pool)}
	b.set = append(b.set, `,"UserAttributes":[`...)
	for i, name := range slices.Sorted(maps.Keys(c.Set)) {
		if i > 0 {
			b.set = append(b.set, ',')
		}
		b.set = append(appendText(append(b.set, `{"Name":`...), name), `,"Value":`...)
		b.set = append(appendText(b.set, c.Set[name]), '}')
	}
	b.set = append(b.set, `]}`...)
	b.unset = append(b.unset, `,"UserAttributeNames":[`...)
	for i, name := range c.Unset {
		if i > 0 {
			b.unset = append(b.unset, ',')
		}
		b.unset = appendText(b.unset, name)
	}
	b.unset = append(b.unset, `]}`...)
	return b
}

// appendText appends a JSON string.
func appendText(to []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic(fmt.Sprintf("a string cannot be JSON: %v", err))
			}
			return append(to, quoted...)
		}
	}
	return append(append(append(to, '"'), s...), '"')
}

// pageSize is the largest page of ListUsers.
const pageSize = 60

// listBody is the body of ListUsers; limit 0 is the largest page.
func listBody(pool, filter, token string, limit int) []byte {
	b := appendText([]byte(`{"UserPoolId":`), pool)
	if filter != "" {
		b = appendText(append(b, `,"Filter":`...), filter)
	}
	if token != "" {
		b = appendText(append(b, `,"PaginationToken":`...), token)
	}
	return fmt.Appendf(b, `,"Limit":%d}`, cmp.Or(limit, pageSize))
}

// callPatiently makes a call and repeats it while the endpoint is overloaded or broken. The reply is OK or a refusal that stays. When ctx
// ends no other try is made; a call that is on its way goes on until calls ends, so that its outcome is known.
func callPatiently(ctx, calls context.Context, line *caller.Line, pace *pacer, spread float64, operation string, body []byte) (caller.Reply, error) {
	for try := 0; ; try++ {
		if err := pace.wait(ctx); err != nil {
			return caller.Reply{}, err
		}
		reply, err := line.Do(calls, operation, body)
		switch {
		case err != nil && (ctx.Err() != nil || try == tries-1 || !pace.reached() && errors.Is(err, caller.ErrConnect)):
			return reply, err
		case err != nil:
		case reply.OK():
			pace.succeeded()
			return reply, nil
		default:
			refusal := reply.Refusal()
			if refusal.Throttled() {
				if err := pace.throttled(); err != nil {
					return reply, fmt.Errorf("%w: %w", err, refusal)
				}
				try = -1 // this is not the call's fault; the pace has its own patience
				continue
			}
			if !refusal.Passing() || try == tries-1 {
				return reply, nil
			}
		}
		if err := sleep(ctx, backoff(try, spread)); err != nil {
			return reply, err
		}
	}
}

// Fatal reports whether a refusal concerns the caller or the pool, so that no other user would fare better.
func Fatal(r *caller.Refusal) bool {
	switch strings.TrimSuffix(r.Code, "Exception") {
	case "AccessDenied", "UnrecognizedClient", "ExpiredToken", "InvalidSignature", "SignatureDoesNotMatch", "IncompleteSignature",
		"MissingAuthenticationToken", "InvalidClientTokenId", "InvalidAccessKeyId", "OptInRequired", "ResourceNotFound", "UnknownOperation",
		"UnsupportedOperation", "OperationNotEnabled", "HTTP 401", "HTTP 403", "HTTP 404":
		return true
	}
	return false
}
