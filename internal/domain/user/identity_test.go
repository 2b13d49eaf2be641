package user

import (
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func TestProviderType(t *testing.T) {
	t.Parallel()
	for provider, kind := range map[string]string{"Google": "Google", "Facebook": "Facebook", "LoginWithAmazon": "LoginWithAmazon",
		"SignInWithApple": "SignInWithApple", "google": "OIDC", "Okta": "OIDC", "Cognito": "OIDC"} {
		want.Equal(t, ProviderType(provider), kind)
		want.Equal(t, Social(provider), kind != "OIDC")
	}
}

func TestLinking(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1700000000000)
	own := Identity{Provider: "Corp", Attribute: Subject, Value: `a"<b>`, Type: "SAML", Issuer: "urn:corp", Primary: true, Created: at}
	google := Identity{Provider: "Google", Attribute: Subject, Value: "1", Type: "Google", Created: at}
	r := &Record{Username: "jane", Identities: []Identity{own}}
	linked := r.Link(google, at)
	want.Equal(t, len(r.Identities), 1)
	want.Equal(t, linked.Identities, []Identity{own, google})
	want.Equal(t, linked.Links(), 1)
	want.Equal(t, linked.Modified, at)
	want.True(t, linked.Holds(google.Key()) && !r.Holds(google.Key()) && !linked.Holds(IdentityKey{"Google", "email", "1"}), "holds what was linked")
	want.Equal(t, linked.IdentitiesText(), `[{"userId":"a\"<b>","providerName":"Corp","providerType":"SAML","issuer":"urn:corp","primary":true,"dateCreated":1700000000000},`+
		`{"userId":"1","providerName":"Google","providerType":"Google","issuer":null,"primary":false,"dateCreated":1700000000000}]`)

	later := at.Add(time.Hour)
	apart := linked.Unlink(google.Key(), later)
	want.Equal(t, apart, &Record{Username: "jane", Attributes: map[string]string{}, Identities: []Identity{own}, Modified: later})
	off := linked.Unlink(own.Key(), later)
	own.Off = true
	want.Equal(t, off.Identities, []Identity{own, google})
	want.True(t, !linked.Identities[0].Off, "the former record stays as it was")

	none := (&Record{Identities: []Identity{google}}).Unlink(google.Key(), later)
	want.True(t, none.Identities == nil, "no identities")
	want.Equal(t, none.IdentitiesText(), "")
}
