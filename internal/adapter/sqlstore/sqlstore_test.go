package sqlstore

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/testing/pgtest"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func ring(tb testing.TB, first byte) *seal.Ring {
	tb.Helper()
	secret := make([]byte, 32)
	secret[0] = first
	kek, err := seal.NewKEK(secret)
	want.NoError(tb, err)
	return seal.NewRing(kek)
}

func open(tb testing.TB, o Options) *Store {
	tb.Helper()
	if o.Path == "" && o.DSN == "" {
		o.Path = filepath.Join(tb.TempDir(), "data", "poolhouse.db")
	}
	if o.Ring == nil {
		o.Ring = ring(tb, 1)
	}
	o.Random = chance.System()
	s, err := Open(tb.Context(), o)
	want.NoError(tb, err)
	tb.Cleanup(func() { want.NoError(tb, s.Close()) })
	return s
}

// each runs a test on both databases.
func each(t *testing.T, o Options, test func(t *testing.T, s *Store)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		o := o
		o.Path = filepath.Join(t.TempDir(), "poolhouse.db")
		test(t, open(t, o))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		o := o
		o.DSN = pgtest.Database(t)
		test(t, open(t, o))
	})
}

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

func samplePool(id string) *pool.Pool {
	return &pool.Pool{ID: id, Region: "eu-west-1", Account: "123456789012", Created: noon, Modified: noon,
		Settings: pool.Settings{Name: "p", CaseSensitive: true, Aliases: []string{"email", "phone_number"}}}
}

func sampleUser(p *pool.Pool, sub, name string) *user.Record {
	return &user.Record{PoolID: p.ID, Sub: sub, Username: name, Created: noon, Modified: noon, Status: user.Confirmed, Enabled: true,
		Attributes: map[string]string{"email": name + "@example.com", "email_verified": "true", "custom:tier": "gold"}}
}
