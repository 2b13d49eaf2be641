package user

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Subject is what requests call the claim that names a user at a provider.
const Subject = "Cognito_Subject"

// Native is what requests call the pool's own users where they ask for a provider.
const Native = "Cognito"

const (
	// MaxLinks is how many identities may be linked to a user (documented).
	MaxLinks = 5
	// MaxLinkAttributes is how many attributes other than the subject may be used to link identities of one provider
	// (documented; that each provider is counted alone is unconfirmed).
	MaxLinkAttributes = 5
)

// Identity is a user's account at an external provider: the one that the user was made from, or one that an
// administrator has linked.
type Identity struct {
	Provider  string
	Attribute string // Subject, or the attribute of the provider by which the account was linked
	Value     string // of that attribute
	Type      string // of the provider: Google, OIDC, SAML, ...
	Issuer    string // of a SAML provider; "" elsewhere
	Primary   bool   // the user was made from it
	Off       bool   // the user can no longer sign in by it
	Created   time.Time
}

// IdentityKey is what makes an identity unique in a pool.
type IdentityKey struct{ Provider, Attribute, Value string }

// Key names the identity.
func (i Identity) Key() IdentityKey { return IdentityKey{i.Provider, i.Attribute, i.Value} }

// ProviderType is the type of a provider of which only the name is known. The social ones have their type for a name;
// of the others nobody can tell before providers are configured, and they count as OIDC.
func ProviderType(provider string) string {
	if Social(provider) {
		return provider
	}
	return "OIDC"
}

// Social reports whether a provider is one of those that have a name of their own. They know users by subject only.
func Social(provider string) bool {
	switch provider {
	case "Facebook", "Google", "LoginWithAmazon", "SignInWithApple":
		return true
	}
	return false
}

// Holds reports whether the identity is one of the user's.
func (r *Record) Holds(key IdentityKey) bool {
	return slices.ContainsFunc(r.Identities, func(i Identity) bool { return i.Key() == key })
}

// Links are how many identities were linked to the user.
func (r *Record) Links() (n int) {
	for _, i := range r.Identities {
		if !i.Primary {
			n++
		}
	}
	return n
}

// Link is the record with one more identity.
func (r *Record) Link(i Identity, now time.Time) *Record {
	after := r.Clone()
	after.Identities, after.Modified = append(after.Identities, i), now
	return after
}

// Unlink is the record without a linked identity. The one that the user was made from stays, and no longer signs in.
func (r *Record) Unlink(key IdentityKey, now time.Time) *Record {
	after := r.Clone()
	after.Modified = now
	after.Identities = slices.DeleteFunc(after.Identities, func(i Identity) bool { return i.Key() == key && !i.Primary })
	for n := range after.Identities {
		if after.Identities[n].Key() == key {
			after.Identities[n].Off = true
		}
	}
	if len(after.Identities) == 0 {
		after.Identities = nil
	}
	return after
}

// IdentitiesText is the value of the attribute identities: JSON as observed, "" when there are none.
func (r *Record) IdentitiesText() string {
	if len(r.Identities) == 0 {
		return ""
	}
	type entry struct {
		UserID  string  `json:"userId"`
		Name    string  `json:"providerName"`
		Type    string  `json:"providerType"`
		Issuer  *string `json:"issuer"`
		Primary bool    `json:"primary"`
		Created int64   `json:"dateCreated"` // milliseconds
	}
	list := make([]entry, len(r.Identities))
	for n, i := range r.Identities {
		list[n] = entry{UserID: i.Value, Name: i.Provider, Type: i.Type, Primary: i.Primary, Created: i.Created.UnixMilli()}
		if i.Issuer != "" {
			list[n].Issuer = &i.Issuer
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(list); err != nil {
		panic(fmt.Sprintf("encode identities: %v", err)) // texts, a bool and a number
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}
