package ops_test

import (
	"encoding/json"
	"sync"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/jose"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/tokens"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// prepared are two signing keys for all pools of the tests: making one takes longer than most tests.
var prepared = sync.OnceValues(func() (keys [2][]byte, err error) {
	for i := range keys {
		k, err := jose.Generate(jose.KeyID([32]byte{}))
		if err != nil {
			return keys, err
		}
		keys[i] = k.Marshal()
	}
	return keys, nil
})

// preparedKey takes the place of jose.Generate.
func preparedKey(id string) (*jose.Key, error) {
	keys, err := prepared()
	if err != nil {
		return nil, err
	}
	return jose.Parse(id, keys[id[0]&1])
}

// addClient stores an app client with the default settings, changed.
func (w *world) addClient(change ...func(*pool.Client)) *pool.Client {
	w.Helper()
	settings, err := pool.NewClient(w.pool, pool.ClientInput{}, false)
	want.NoError(w, err)
	c := &pool.Client{ID: w.tokens.Chance.ClientID(), PoolID: w.pool.ID, Created: start, Modified: start, ClientSettings: settings}
	for _, fn := range change {
		fn(c)
	}
	w.update(func(tx store.Tx) error { return tx.Clients().Create(c) })
	return c
}

// signIn returns the tokens of a user who has signed in through the client now.
func (w *world) signIn(u *user.Record, c *pool.Client) *tokens.Set {
	w.Helper()
	set, _, err := w.tokens.Issue(w.Context(), w.pool.ID, c.ID, u.Username)
	want.NoError(w, err)
	return set
}

// access is an access token of a user for a client of its own.
func (w *world) access(u *user.Record) string {
	w.Helper()
	return w.signIn(u, w.addClient()).Access.Reveal()
}

// jsonOf is the JSON of a value that satisfies the constraints of a shape.
func jsonOf(w *world, s *api.Shape) string {
	w.Helper()
	b, err := json.Marshal(sample(w, s))
	want.NoError(w, err)
	return string(b)
}
