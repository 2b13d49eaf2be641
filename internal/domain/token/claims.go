package token

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
)

// Grants are a user's groups as tokens show them.
type Grants struct {
	Groups    []string // names
	Roles     []string // the ARNs of the groups that have one
	Preferred string   // the role of the group that counts most, "" when there is none
}

// GrantsOf is what tokens say of a user's groups. The groups come in the order of their precedence, and so do the claims.
func GrantsOf(groups []*user.Group) Grants {
	g := Grants{Preferred: user.PreferredRole(groups)}
	for _, x := range groups {
		g.Groups = append(g.Groups, x.Name)
		if x.RoleARN != nil && *x.RoleARN != "" && !slices.Contains(g.Roles, *x.RoleARN) {
			g.Roles = append(g.Roles, *x.RoleARN)
		}
	}
	return g
}

// Facts are what the claims of one answer are made from. The texts that nobody may guess are drawn before.
type Facts struct {
	Issuer    string
	Pool      *pool.Pool
	Client    *pool.Client
	User      *user.Record
	Family    *Family
	Grants    Grants
	Now       time.Time
	Override  *Override // of the pool's function; nil: nothing
	IDJti     string
	AccessJti string
}

// Claim is a claim of a token. Its value is a string, bool, int64, []string or json.RawMessage.
type Claim struct {
	Name  string
	Value any
}

// Claims are the claims of a token in the order in which they are written.
type Claims []Claim

// Get returns a claim's value, nil when there is none.
func (c Claims) Get(name string) any {
	for _, x := range c {
		if x.Name == name {
			return x.Value
		}
	}
	return nil
}

func (c *Claims) add(name string, value any) { *c = append(*c, Claim{name, value}) }

// some adds a claim unless its value is empty.
func (c *Claims) some(name, value string) {
	if value != "" {
		c.add(name, value)
	}
}

// list adds a claim unless it has no entries.
func (c *Claims) list(name string, values []string) {
	if len(values) > 0 {
		c.add(name, values)
	}
}

// Revocable reports whether tokens of a client name their family: with token revocation or refresh token rotation.
func Revocable(c *pool.Client) bool {
	return c.Revocation || c.Rotation != nil && c.Rotation.Enabled
}

// Access are the claims of the access token, in the documented order.
//
// Evidence: the documentation's page on the access token.
func (f *Facts) Access() Claims {
	c := make(Claims, 0, 16)
	c.add("sub", f.User.Sub)
	c.some("device_key", f.Family.DeviceKey)
	grants := f.grants()
	c.list("cognito:groups", grants.Groups)
	c.add("iss", f.Issuer)
	if f.Family.Origin != FromAPI {
		c.add("version", int64(2)) // absent from the tokens of API sign-ins (unconfirmed)
	}
	c.add("client_id", f.Client.ID)
	f.origin(&c)
	c.add("event_id", f.Family.EventID)
	c.add("token_use", "access")
	c.add("scope", strings.Join(f.scopes(), " "))
	f.times(&c, f.Client.AccessSeconds())
	c.add("jti", f.AccessJti)
	c.add("username", f.User.Username)
	if f.Override == nil {
		return c
	}
	return c.change(f.Override.Access, f.Client.ID, true)
}

// ID are the claims of the ID token, in the documented order; attributes stand in the order of their names.
//
// Evidence: the documentation's page on the ID token.
func (f *Facts) ID() Claims {
	c := make(Claims, 0, 24)
	c.add("sub", f.User.Sub)
	grants := f.grants()
	c.list("cognito:groups", grants.Groups)
	f.flag(&c, pool.EmailVerified)
	c.some("cognito:preferred_role", grants.Preferred)
	c.add("iss", f.Issuer)
	f.flag(&c, pool.PhoneNumberVerified)
	c.add("cognito:username", f.User.Username)
	for _, name := range f.User.Names() {
		switch name {
		case pool.Email, pool.EmailVerified, pool.PhoneNumberVerified:
			continue
		}
		if value, ok := f.readable(name); ok {
			c.add(name, typed(name, value))
		}
	}
	f.origin(&c)
	c.list("cognito:roles", grants.Roles)
	c.add("aud", f.Client.ID)
	if list := f.User.Identities; len(list) > 0 && f.Client.Reads(&f.Pool.Settings, pool.Identities) {
		c.add("identities", identities(list))
	}
	c.add("event_id", f.Family.EventID)
	c.add("token_use", "id")
	f.times(&c, f.Client.IDSeconds())
	c.add("jti", f.IDJti)
	if value, ok := f.readable(pool.Email); ok {
		c.add(pool.Email, value)
	}
	if f.Override == nil {
		return c
	}
	return c.change(f.Override.ID, f.Client.ID, false)
}

// origin adds what names the family.
func (f *Facts) origin(c *Claims) {
	if Revocable(f.Client) {
		c.add("origin_jti", f.Family.ID)
	}
}

func (f *Facts) times(c *Claims, life int64) {
	c.add("auth_time", f.Family.AuthTime.Unix())
	c.add("exp", f.Now.Unix()+life)
	c.add("iat", f.Now.Unix())
}

// readable is the value of an attribute that the user has and the client may read.
func (f *Facts) readable(name string) (string, bool) {
	value, ok := f.User.Attributes[name]
	return value, ok && f.Client.Reads(&f.Pool.Settings, name)
}

// flag adds whether an address is verified, when that was ever said.
func (f *Facts) flag(c *Claims, name string) {
	if value, ok := f.readable(name); ok {
		c.add(name, value == "true")
	}
}

// typed is the value of an attribute in a token: a string, but for two (both unconfirmed).
func typed(name, value string) any {
	switch name {
	case "address":
		return json.RawMessage(string(AppendString([]byte(`{"formatted":`), value)) + "}")
	case "updated_at":
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return n
		}
	}
	return value
}

// identities are the user's accounts at external providers with every value but the issuer as a string, as tokens have
// them (documented).
func identities(list []user.Identity) json.RawMessage {
	b := []byte("[")
	for i, x := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(append(b, `{"userId":`...), x.Value)
		b = AppendString(append(b, `,"providerName":`...), x.Provider)
		b = AppendString(append(b, `,"providerType":`...), x.Type)
		b = append(b, `,"issuer":`...)
		if x.Issuer == "" {
			b = append(b, "null"...)
		} else {
			b = AppendString(b, x.Issuer)
		}
		b = AppendString(append(b, `,"primary":`...), strconv.FormatBool(x.Primary))
		b = AppendString(append(b, `,"dateCreated":`...), strconv.FormatInt(x.Created.UnixMilli(), 10))
		b = append(b, '}')
	}
	return append(b, ']')
}

// Append writes the claims as a JSON object.
func (c Claims) Append(b []byte) []byte {
	b = append(b, '{')
	for i, x := range c {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(AppendString(b, x.Name), ':')
		switch v := x.Value.(type) {
		case string:
			b = AppendString(b, v)
		case bool:
			b = strconv.AppendBool(b, v)
		case int64:
			b = strconv.AppendInt(b, v, 10)
		case []string:
			b = append(b, '[')
			for i, s := range v {
				if i > 0 {
					b = append(b, ',')
				}
				b = AppendString(b, s)
			}
			b = append(b, ']')
		case json.RawMessage:
			b = append(b, v...)
		default:
			panic(fmt.Sprintf("token: claim %s has a value of type %T", x.Name, v))
		}
	}
	return append(b, '}')
}

// AppendString writes a text as a JSON string, without the detours that make it safe inside HTML.
func AppendString(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			return appendQuoted(b, s)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendQuoted(b []byte, s string) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can always be encoded, into memory
	return append(b, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
}
