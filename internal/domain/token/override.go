package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// Override is what a pool's PreTokenGeneration function changes in the tokens of one answer. A nil one changes nothing.
type Override struct {
	ID, Access     Changes
	AddScopes      []string
	SuppressScopes []string
	Groups         *Grants // nil: the user's own
}

// Changes are what changes in the claims of one token. Who is suppressed is not added.
type Changes struct {
	Add      map[string]json.RawMessage // compact
	Suppress []string
}

// maxOverrides is how many claims and scopes a function can name (documented).
const maxOverrides = 5000

// The JSON of both versions of the function's answer.
type (
	overrideV1 struct {
		Add      map[string]*string `json:"claimsToAddOrOverride"`
		Suppress []string           `json:"claimsToSuppress"`
		Groups   *groupOverrideJSON `json:"groupOverrideDetails"`
	}
	overrideV2 struct {
		ID     *changesJSON       `json:"idTokenGeneration"`
		Access *changesJSON       `json:"accessTokenGeneration"`
		Groups *groupOverrideJSON `json:"groupOverrideDetails"`
	}
	changesJSON struct {
		Add            map[string]json.RawMessage `json:"claimsToAddOrOverride"`
		Suppress       []string                   `json:"claimsToSuppress"`
		AddScopes      []string                   `json:"scopesToAdd"`
		SuppressScopes []string                   `json:"scopesToSuppress"`
	}
	groupOverrideJSON struct {
		Groups    []string `json:"groupsToOverride"`
		Roles     []string `json:"iamRolesToOverride"`
		Preferred *string  `json:"preferredRole"`
	}
)

func (g *groupOverrideJSON) grants() *Grants {
	if g == nil {
		return nil
	}
	out := &Grants{Groups: g.Groups, Roles: g.Roles}
	if g.Preferred != nil {
		out.Preferred = *g.Preferred
	}
	return out
}

// The versions of the function's event.
const (
	V1 = "V1_0"
	V2 = "V2_0"
	V3 = "V3_0"
)

// ParseOverride reads the response of a PreTokenGeneration function of a version. It is nil when the function changes nothing.
func ParseOverride(version string, response []byte) (*Override, error) {
	var members struct {
		V1 *overrideV1 `json:"claimsOverrideDetails"`
		V2 *overrideV2 `json:"claimsAndScopeOverrideDetails"`
	}
	if err := json.Unmarshal(response, &members); err != nil {
		return nil, unrecognizable(err)
	}
	o := &Override{}
	switch {
	case version == V1 && members.V1 != nil:
		o.ID.Suppress, o.Groups = members.V1.Suppress, members.V1.Groups.grants()
		for name, value := range members.V1.Add {
			if value != nil {
				o.ID.add(name, AppendString(nil, *value))
			}
		}
	case version != V1 && members.V2 != nil:
		o.Groups = members.V2.Groups.grants()
		for _, x := range []struct {
			from *changesJSON
			to   *Changes
		}{{members.V2.ID, &o.ID}, {members.V2.Access, &o.Access}} {
			if x.from == nil {
				continue
			}
			x.to.Suppress = x.from.Suppress
			for name, value := range x.from.Add {
				x.to.add(name, value)
			}
		}
		if a := members.V2.Access; a != nil {
			o.AddScopes, o.SuppressScopes = a.AddScopes, a.SuppressScopes
		}
	default:
		return nil, nil
	}
	n := len(o.AddScopes) + len(o.SuppressScopes)
	for _, c := range []Changes{o.ID, o.Access} {
		n += len(c.Add) + len(c.Suppress)
	}
	if n > maxOverrides {
		return nil, unrecognizable(fmt.Errorf("%d claims and scopes", n))
	}
	return o, nil
}

func (c *Changes) add(name string, value []byte) {
	var b bytes.Buffer
	if json.Compact(&b, value) != nil || b.String() == "null" {
		return // null is no value; what is no JSON cannot come out of the decoder
	}
	if c.Add == nil {
		c.Add = map[string]json.RawMessage{}
	}
	c.Add[name] = b.Bytes()
}

// unrecognizable is the fault of an answer that cannot be used. The log learns why, and nothing of its texts.
func unrecognizable(err error) error {
	if typed, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		err = errors.New(typed.Field + " has another type")
	}
	return fault.TriggerUnrecognizable().Because(err)
}

// protected are the claims that a function can neither change nor take away (documented).
var protected = []string{"username", "sub", "identities", "aud", "client_id", "event_id", "device_key", "version", "acr", "amr", "at_hash",
	"auth_time", "azp", "exp", "iat", "iss", "jti", "nbf", "nonce", "origin_jti", "token_use", "scope"}

// changeable reports whether a function may add (or else suppress) a claim. What it may not is ignored.
func changeable(name string, add bool) bool {
	switch {
	case name == "cognito:groups":
		return !add // groups are changed as groups
	case strings.HasPrefix(name, "cognito:"), slices.Contains(protected, name):
		return false
	case strings.HasPrefix(name, "dev:"):
		return !add
	}
	return name != ""
}

// plain reports whether a claim's value may not be an object (documented).
func plain(name string) bool {
	switch name {
	case pool.EmailVerified, pool.PhoneNumberVerified, "updated_at", "address":
		return true
	}
	return false
}

// grants are the groups as the function leaves them.
func (f *Facts) grants() Grants {
	if f.Override != nil && f.Override.Groups != nil {
		return *f.Override.Groups
	}
	return f.Grants
}

// scopes are the scopes of the access token as the function leaves them.
func (f *Facts) scopes() []string {
	return f.Override.scopes(f.Family.Scopes)
}

func (o *Override) scopes(granted []string) []string {
	if o == nil {
		return granted
	}
	list := slices.Clone(granted)
	for _, s := range o.AddScopes {
		if s != "" && !strings.ContainsAny(s, " \t\r\n") && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return slices.DeleteFunc(list, func(s string) bool { return slices.Contains(o.SuppressScopes, s) })
}

// change carries out what a function changes in the claims of a token. A claim that is overridden stays in its place; what is
// added comes last, in the order of the names.
func (c Claims) change(x Changes, clientID string, access bool) Claims {
	for _, name := range x.Suppress {
		if !changeable(name, false) {
			continue
		}
		c = slices.DeleteFunc(c, func(have Claim) bool {
			return have.Name == name || name == "cognito:groups" && (have.Name == "cognito:roles" || have.Name == "cognito:preferred_role")
		})
	}
	for _, name := range slices.Sorted(maps.Keys(x.Add)) {
		value := x.Add[name]
		audience := access && name == "aud" && string(value) == string(AppendString(nil, clientID))
		if slices.Contains(x.Suppress, name) || !changeable(name, true) && !audience || plain(name) && value[0] == '{' {
			continue
		}
		if i := slices.IndexFunc(c, func(have Claim) bool { return have.Name == name }); i >= 0 {
			c[i].Value = value
		} else {
			c.add(name, value)
		}
	}
	return c
}
