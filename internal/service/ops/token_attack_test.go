package ops_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/jose"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/tokens"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const (
	notAToken    = "NotAuthorizedException: Invalid Access Token"
	notOurs      = "NotAuthorizedException: Could not verify signature for Access Token"
	tokenExpired = "NotAuthorizedException: Access Token has expired"
)

var base64url = base64.RawURLEncoding

// replaceClient puts a client's id into a text.
func replaceClient(text string, c *pool.Client) string {
	return strings.ReplaceAll(text, "$client", c.ID)
}

// strangerKey is a key that no pool has.
var strangerKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// reSigned is a token with the signature of a stranger.
func reSigned(t *testing.T, text string) string {
	t.Helper()
	key, err := strangerKey()
	want.NoError(t, err)
	at := strings.LastIndexByte(text, '.')
	return signedBy(t, key, text[:at])
}

func signedBy(t *testing.T, key *rsa.PrivateKey, signed string) string {
	t.Helper()
	digest := sha256.Sum256([]byte(signed))
	s, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	want.NoError(t, err)
	return signed + "." + base64url.EncodeToString(s)
}

// keysOf are the keys of the world's pool by use.
func (w *world) keysOf() map[token.Use]*rsa.PrivateKey {
	w.Helper()
	keys := map[token.Use]*rsa.PrivateKey{}
	w.view(func(v store.View) error {
		list, err := v.SigningKeys().List(w.pool.ID)
		for _, k := range list {
			if k.Use == token.ForRefresh {
				continue
			}
			if keys[k.Use], err = x509.ParsePKCS1PrivateKey(k.Material); err != nil {
				return err
			}
		}
		return err
	})
	return keys
}

// everyTokenOperation calls fn for every built operation that takes an access token, with the members that it needs beside.
func (w *world) everyTokenOperation(fn func(operation, members string)) {
	w.Helper()
	n := 0
	for _, spec := range api.All() {
		if spec.Auth != api.Token || !w.pipeline.Registry.Built(spec.Name) {
			continue
		}
		n++
		members := ""
		for _, m := range spec.In.Members {
			if m.Required && m.Name != "AccessToken" {
				members += fmt.Sprintf(`,%q:%s`, m.Name, jsonOf(w, m.Shape))
			}
		}
		fn(spec.Name, members)
	}
	want.True(w, n >= 8, "only %d operations take a token", n)
}

// TestForgedAccessTokens sends tokens that somebody made or bent to every operation that takes one. None is carried out.
//
// Attacks: no algorithm in every letter case, HMAC keyed with the public key in all its forms, other algorithms, keys
// brought along, key ids that are paths, queries or lists, doubled members, the key of ID tokens, another pool's issuer.
func TestForgedAccessTokens(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		u, c := w.addUser("u", vectorUser), w.addClient()
		set := w.signIn(u, c)
		good := strings.Split(set.Access.Reveal(), ".")
		keys := w.keysOf()
		access := keys[token.ForAccess]
		parsed, err := jose.Split(set.Access.Reveal())
		want.NoError(w, err)
		kid, err := parsed.KeyID()
		want.NoError(w, err)
		claims, err := base64url.DecodeString(good[1])
		want.NoError(w, err)
		spki, err := x509.MarshalPKIXPublicKey(&access.PublicKey)
		want.NoError(w, err)
		answer := httptest.NewRecorder()
		w.tokens.Documents(nil).ServeHTTP(answer, httptest.NewRequestWithContext(w.Context(), http.MethodGet, "/"+w.pool.ID+"/.well-known/jwks.json", nil))
		want.Equal(w, answer.Code, 200)

		right := func(signed string) string { return signedBy(w.T, access, signed) }
		none := func(signed string) string { return signed + "." }
		keyed := func(key []byte) func(string) string {
			return func(signed string) string {
				m := hmac.New(sha256.New, key)
				m.Write([]byte(signed))
				return signed + "." + base64url.EncodeToString(m.Sum(nil))
			}
		}
		header := func(text string, sign func(string) string) string {
			return sign(base64url.EncodeToString([]byte(text)) + "." + good[1])
		}
		payload := func(old, now string, sign func(string) string) string {
			want.Contains(w, string(claims), old)
			return sign(good[0] + "." + base64url.EncodeToString([]byte(strings.Replace(string(claims), old, now, 1))))
		}
		ours := `{"kid":"` + kid + `","alg":"RS256"}`
		forged := map[string][2]string{
			"HS256 with the PEM":              {header(`{"kid":"`+kid+`","alg":"HS256"}`, keyed(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))), notAToken},
			"HS256 with the DER":              {header(`{"kid":"`+kid+`","alg":"HS256"}`, keyed(spki)), notAToken},
			"HS256 with the JWK set":          {header(`{"kid":"`+kid+`","alg":"HS256"}`, keyed(answer.Body.Bytes())), notAToken},
			"HMAC under our header":           {header(ours, keyed(spki)), notOurs},
			"no signature":                    {header(ours, none), notOurs},
			"a stranger's signature":          {reSigned(w.T, set.Access.Reveal()), notOurs},
			"a stranger's key brought along":  {header(`{"kid":"`+kid+`","alg":"RS256","jwk":{"kty":"RSA","e":"AQAB","n":"AA"}}`, right), notAToken},
			"an address of keys":              {header(`{"kid":"`+kid+`","alg":"RS256","jku":"http://127.0.0.1:1/"}`, right), notAToken},
			"a certificate":                   {header(`{"kid":"`+kid+`","alg":"RS256","x5c":["AA=="]}`, right), notAToken},
			"two algorithms":                  {header(`{"kid":"`+kid+`","alg":"none","alg":"RS256"}`, right), notAToken},
			"no algorithm":                    {header(`{"kid":"`+kid+`"}`, right), notAToken},
			"another order of the header":     {header(`{"alg":"RS256","kid":"`+kid+`"}`, right), notAToken},
			"no key id":                       {header(`{"alg":"RS256"}`, right), notAToken},
			"a key id that nobody has":        {header(`{"kid":"`+jose.KeyID([32]byte{1, 2, 3})+`","alg":"RS256"}`, right), notAToken},
			"a key id that is a path":         {header(`{"kid":"../../x","alg":"RS256"}`, right), notAToken},
			"a key id with a quote":           {header(`{"kid":"'; DROP TABLE signing_keys; --","alg":"RS256"}`, right), notAToken},
			"a key id with NUL":               {header(`{"kid":"`+kid[:43]+"\x00"+`","alg":"RS256"}`, right), notAToken},
			"a key id that is a list":         {header(`{"kid":["`+kid+`"],"alg":"RS256"}`, right), notAToken},
			"a key id of 100 kB":              {header(`{"kid":"`+strings.Repeat("A", 100_000)+`","alg":"RS256"}`, right), notAToken},
			"another issuer":                  {payload(w.pool.ID, "us-east-1_Another00", right), notAToken},
			"another issuer, not signed anew": {payload(w.pool.ID, "us-east-1_Another00", func(signed string) string { return signed + "." + good[2] }), notOurs},
			"another user, not signed anew":   {payload(u.Sub, "11111111-1111-1111-1111-111111111111", func(signed string) string { return signed + "." + good[2] }), notOurs},
			"more life, not signed anew":      {payload(`"exp":1`, `"exp":9`, func(signed string) string { return signed + "." + good[2] }), notOurs},
			"another use":                     {payload(`"token_use":"access"`, `"token_use":"id"`, right), notAToken},
			"the ID token":                    {set.ID.Reveal(), notAToken},
			"the refresh token":               {set.Refresh.Reveal(), notAToken},
			"access claims, key of ID tokens": {signedBy(w.T, keys[token.ForID], strings.Split(set.ID.Reveal(), ".")[0]+"."+good[1]), notAToken},
			"ID claims, key of access tokens": {right(good[0] + "." + strings.Split(set.ID.Reveal(), ".")[1]), notAToken},
			"no claims":                       {right(good[0] + "." + base64url.EncodeToString([]byte("{}"))), notAToken},
			"claims that are no JSON":         {right(good[0] + "." + base64url.EncodeToString([]byte("x"))), notAToken},
			"padding":                         {set.Access.Reveal() + "=", notOurs},
			"two parts":                       {good[0] + "." + good[1], notAToken},
			"four parts":                      {set.Access.Reveal() + ".A", notAToken},
			"a hundred thousand dots":         {strings.Repeat(".", 100_000), notAToken},
		}
		for i := range 16 {
			alg := []byte("none")
			for bit := range alg {
				if i>>bit&1 == 1 {
					alg[bit] -= 'a' - 'A'
				}
			}
			forged["alg "+string(alg)] = [2]string{header(`{"kid":"`+kid+`","alg":"`+string(alg)+`"}`, none), notAToken}
		}
		before := w.stored(u)
		sent := 0
		w.everyTokenOperation(func(operation, members string) {
			for name, f := range forged {
				sent++
				if got := w.self(operation, f[0], members); got != f[1] {
					w.Errorf("%s, %s: answers %s, want %s", operation, name, got, f[1])
				}
			}
		})
		want.Equal(w, w.stored(u), before)
		want.Equal(w, w.changes(u.Sub), nil)
		w.quiet()
		lives, _ := w.lives(u)
		want.Equal(w, lives, 1)
		want.True(w, sent > 300, "only %d tokens were sent", sent)
		// What all of them were made from is good.
		want.Contains(w, w.self("GetUser", right(good[0]+"."+good[1]), ""), `"Username":"u"`)
	})
}

// TestTokenOfAnotherPool: a token works in the pool that issued it, whatever pool and user look alike.
func TestTokenOfAnotherPool(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		first := w.pool
		u := w.addUser("u", vectorUser)
		text := w.access(u)
		key := w.keysOf()[token.ForAccess]
		w.pool = w.newPool(vectorPool)
		twin := w.addUser("u", nil, func(r *user.Record) { r.Sub = u.Sub })
		w.access(twin)
		want.Contains(w, w.self("GetUser", text, ""), `{"Name":"email","Value":"a@x.io"}`)
		parts := strings.Split(text, ".")
		claims, err := base64url.DecodeString(parts[1])
		want.NoError(w, err)
		moved := parts[0] + "." + base64url.EncodeToString([]byte(strings.ReplaceAll(string(claims), first.ID, w.pool.ID)))
		w.everyTokenOperation(func(operation, members string) {
			want.Equal(w, w.self(operation, moved+"."+parts[2], members), notOurs)
			// Not even the key of the first pool speaks for the second.
			want.Equal(w, w.self(operation, signedBy(w.T, key, moved), members), notAToken)
		})
		want.Equal(w, w.stored(twin), twin)
		want.Equal(w, w.changes(twin.Sub), nil)
	})
}

// TestRevokedOnEveryNode: what one server has revoked no other server takes, in the same instant.
func TestRevokedOnEveryNode(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		u := w.addUser("u", vectorUser)
		text := w.access(u)
		other := *w.pipeline
		other.Tokens = &tokens.Tokens{Store: w.store, Clock: w.clock}
		other.Settings = &dispatch.Settings{Store: w.store, Clock: w.clock}
		here := w.pipeline
		onOther := func() string {
			w.pipeline = &other
			defer func() { w.pipeline = here }()
			return w.self("GetUser", text, "")
		}
		want.Contains(w, onOther(), `"Username":"u"`)
		want.Equal(w, w.self("GlobalSignOut", text, ""), "{}")
		want.Equal(w, onOther(), revoked)
	})
}

// TestExpiredByMovedClock: the domain's clock decides, forward and back.
func TestExpiredByMovedClock(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		text := w.access(w.addUser("u", vectorUser))
		w.everyTokenOperation(func(operation, members string) {
			w.clock.Set(start.Add(24 * time.Hour))
			want.Equal(w, w.self(operation, text, members), tokenExpired)
		})
		w.clock.Set(start)
		want.Contains(w, w.self("GetUser", text, ""), `"Username":"u"`)
	})
}

// TestSignOutAgainstUse lets a user sign out while others use the user's tokens: nothing that begins after the answer is carried out.
func TestSignOutAgainstUse(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		u := w.addUser("u", vectorUser)
		text := w.access(u)
		var group sync.WaitGroup
		stop := make(chan struct{})
		for range 4 {
			group.Go(func() {
				for {
					got := w.self("SetUserSettings", text, `,"MFAOptions":[]`)
					if got != "{}" && got != revoked {
						w.Errorf("answer %s", got)
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		want.Equal(w, w.self("GlobalSignOut", text, ""), "{}")
		for range 20 {
			want.Equal(w, w.self("SetUserSettings", text, `,"MFAOptions":[]`), revoked)
		}
		close(stop)
		group.Wait()
	})
}
