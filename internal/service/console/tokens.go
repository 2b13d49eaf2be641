package console

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/tokens"
)

// issueTokens takes {"pool":"...","client":"...","username":"..."} and answers as a completed sign-in of the user would, with the
// record that it leaves behind. Nobody has to prove anything, which is why only development servers have a console.
func (c *Console) issueTokens(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Pool     string `json:"pool"`
		Client   string `json:"client"`
		Username string `json:"username"`
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyLimit))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil || in.Pool == "" || in.Client == "" || in.Username == "" {
		c.fail(w, r, badRequest(`send {"pool":"POOL","client":"CLIENT","username":"NAME"}`))
		return
	}
	set, family, err := c.Tokens.Issue(r.Context(), in.Pool, in.Client, in.Username)
	if f, ok := errors.AsType[*fault.Error](err); ok {
		err = badRequest(f.Code + ": " + fault.Code(f.Message))
	}
	if err != nil {
		c.fail(w, r, err)
		return
	}
	c.json(w, struct {
		AuthenticationResult resultJSON
		Family               familyJSON
	}{
		resultJSON{set.Access.Reveal(), set.ExpiresIn, set.ID.Reveal(), set.Refresh.Reveal(), "Bearer"},
		asFamily(family),
	})
}

// signingKeyJSON is a key that signs tokens.
type signingKeyJSON struct {
	ID      string `json:"id"`
	Use     string `json:"use"`
	Part    string `json:"part"`
	Created string `json:"created"`
	From    string `json:"from"`
}

func asSigningKeys(keys []tokens.PlannedKey) []signingKeyJSON {
	shown := []signingKeyJSON{}
	for _, k := range keys {
		shown = append(shown, signingKeyJSON{k.ID, string(k.Use), string(k.Part), instant(k.Created), instant(k.From)})
	}
	return shown
}

// rotateKeys changes the keys that sign the tokens of a pool.
func (c *Console) rotateKeys(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Pool   string `json:"pool"`
		Now    bool   `json:"now"`
		Revoke bool   `json:"revoke"`
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyLimit))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil || in.Pool == "" || in.Revoke && !in.Now {
		c.fail(w, r, badRequest(`send {"pool":"POOL"}, with "now":true to sign with the new keys at once, and "revoke":true beside it to take back the old ones`))
		return
	}
	keys, err := c.Tokens.Rotate(r.Context(), tokens.Rotation{PoolID: in.Pool, Now: in.Now, Revoke: in.Revoke, Caller: "console"})
	if errors.Is(err, store.ErrNotFound) {
		err = notThere("there is no pool " + in.Pool)
	}
	if err != nil {
		c.fail(w, r, err)
		return
	}
	c.json(w, struct {
		Keys []signingKeyJSON `json:"keys"`
	}{asSigningKeys(keys)})
}

// resultJSON is AuthenticationResult as the operations for signing in answer it.
type resultJSON struct {
	AccessToken  string
	ExpiresIn    int64
	IdToken      string //nolint:revive,staticcheck // the name on the wire
	RefreshToken string
	TokenType    string
}

// familyJSON is the record behind the tokens.
type familyJSON struct {
	ID      string `json:"id"`
	Event   string `json:"event"`
	Sub     string `json:"sub"`
	Created string `json:"created"`
	Expires string `json:"expires"`
}

func asFamily(f *token.Family) familyJSON {
	return familyJSON{f.ID, f.EventID, f.Sub, instant(f.Created), instant(f.Expires)}
}
