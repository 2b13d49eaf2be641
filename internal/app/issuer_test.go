package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/poolhouse/poolhouse/internal/app"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// TestIssuer holds where the issuers of tokens are: at the set address, else at the public one, else at the listener's. The
// documents are there.
func TestIssuer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		issuer, public string
		want           func(endpoint string) string // without the pool's id
	}{
		"the listener":  {"", "", func(endpoint string) string { return endpoint }},
		"public":        {"", "https://id.example.com/", func(string) string { return "https://id.example.com" }},
		"set":           {"https://issuer.example.com/users", "https://id.example.com", func(string) string { return "https://issuer.example.com/users" }},
		"the service's": {"aws", "https://id.example.com", func(string) string { return "https://cognito-idp.us-east-1.amazonaws.com" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			o.Config.Issuer, o.Config.PublicURL = c.issuer, c.public
			s := start(t, o)
			id := makePool(t, s.Endpoint(), "")
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Endpoint()+"/"+id+"/.well-known/openid-configuration", nil)
			want.NoError(t, err)
			resp, err := (&http.Client{}).Do(req)
			want.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			want.NoError(t, err)
			want.NoError(t, resp.Body.Close())
			var found struct {
				Issuer string
				Keys   string `json:"jwks_uri"`
			}
			want.NoError(t, json.Unmarshal(body, &found))
			issuer := c.want(s.Endpoint()) + "/" + id
			want.Equal(t, []string{found.Issuer, found.Keys}, []string{issuer, issuer + "/.well-known/jwks.json"})
		})
	}
	o := options(t)
	o.Config.Issuer = "id.example.com"
	_, err := app.New(t.Context(), o)
	want.True(t, err != nil && err.Error() == `issuer: "id.example.com" is not a URL that begins with http:// or https://`, "%v", err)
}
