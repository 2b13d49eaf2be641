package ops_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/adapter/sqlstore"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/messages"
	"github.com/poolhouse/poolhouse/internal/service/ops"
	"github.com/poolhouse/poolhouse/internal/service/tokens"
)

// benchHouse is a pipeline over a durable SQLite file with users in it.
func benchHouse(b *testing.B, users int) (*dispatch.Pipeline, string) {
	b.Helper()
	kek, err := seal.NewKEK([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		b.Fatal(err)
	}
	s, err := sqlstore.Open(b.Context(), sqlstore.Options{Path: b.TempDir() + "/bench.db", Ring: seal.NewRing(kek), Random: chance.System(),
		Logger: slog.New(slog.DiscardHandler), Now: clock.System().Now})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	p := &pool.Pool{ID: "us-east-1_Bench", Region: "us-east-1", Account: "123456789012", Created: start, Modified: start}
	vectorPool(&p.Settings)
	fill := func(from, to int) error {
		return s.Update(context.Background(), store.Scope{}, func(tx store.Tx) error {
			for i := from; i < to; i++ {
				err := tx.Users().Create(p, &user.Record{PoolID: p.ID, Sub: fmt.Sprintf("00000000-0000-7000-8000-%012d", i), Username: fmt.Sprintf("user%d", i),
					Created: start, Modified: start, Status: user.Confirmed, Enabled: true, Attributes: map[string]string{"name": "N", "email": fmt.Sprintf("u%d@x.io", i),
						"email_verified": "true", "given_name": "Given", "family_name": "Family", "locale": "en_GB", "zoneinfo": "Europe/Berlin", "custom:score": "5", "custom:tier": "gold"}})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = s.Update(context.Background(), store.Scope{}, func(tx store.Tx) error { return tx.Pools().Create(p) })
	for i := 0; i < users && err == nil; i += 1000 {
		err = fill(i, i+1000)
	}
	if err != nil {
		b.Fatal(err)
	}
	source := chance.System()
	m := &messages.Messages{Store: s, Hooks: &functions{}, Clock: clock.System(), Real: clock.System(), Chance: source, Log: slog.New(slog.DiscardHandler)}
	reg := dispatch.NewRegistry()
	(&ops.Attributes{Store: s, Messages: m, Chance: source}).Register(reg)
	(&ops.Users{Store: s, Messages: m, Chance: source}).Register(reg)
	return &dispatch.Pipeline{Tokens: &tokens.Tokens{Store: s, Chance: source, Clock: clock.System(), Base: "https://id.example.com", Generate: preparedKey},
		Registry: reg, Store: s, Clock: clock.System(), Account: "123456789012",
		Settings: &dispatch.Settings{Store: s, Clock: clock.System()}, Log: slog.New(slog.DiscardHandler)}, p.ID
}

// signedIn makes access tokens of the first users for a client of their pool.
func signedIn(b *testing.B, p *dispatch.Pipeline, poolID string, n int) (list []string) {
	b.Helper()
	t := p.Tokens.(*tokens.Tokens)
	var c *pool.Client
	err := p.Store.Update(b.Context(), store.Scope{}, func(tx store.Tx) error {
		found, err := tx.Pools().Get(poolID)
		if err != nil {
			return err
		}
		settings, err := pool.NewClient(found, pool.ClientInput{}, false)
		if err != nil {
			return err
		}
		c = &pool.Client{ID: "1234567890abcdefghijklmnop", PoolID: poolID, Created: start, Modified: start, ClientSettings: settings}
		return tx.Clients().Create(c)
	})
	for i := 0; i < n && err == nil; i++ {
		var set *tokens.Set
		if set, _, err = t.Issue(b.Context(), poolID, c.ID, fmt.Sprintf("user%d", i)); err == nil {
			list = append(list, set.Access.Reveal())
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	return list
}

// BenchmarkOperations measures operations without HTTP, durable, with 64 callers.
func BenchmarkOperations(b *testing.B) {
	const users = 10_000
	for _, c := range []struct{ operation, body string }{
		{"AdminUpdateUserAttributes", `{"UserPoolId":%q,"Username":"user%d","UserAttributes":[{"Name":"nickname","Value":"n%d"},{"Name":"custom:tier","Value":"silver"},{"Name":"website","Value":"https://x.example/%[3]d"}]}`},
		// %[4]s is the user's token.
		{"UpdateUserAttributes", `{"AccessToken":%[4]q,"UserAttributes":[{"Name":"nickname","Value":"n%[3]d"},{"Name":"custom:tier","Value":"silver"},{"Name":"website","Value":"https://x.example/%[3]d"}]}`},
		{"AdminGetUser", `{"UserPoolId":%q,"Username":"user%d","Unknown":%d}`},
	} {
		b.Run(c.operation, func(b *testing.B) {
			p, id := benchHouse(b, users)
			list := []string{""}
			if spec, _ := api.ByName(c.operation); spec.Auth == api.Token {
				list = signedIn(b, p, id, 500)
			}
			stats := p.Store.(*sqlstore.Store).Stats
			before := stats()
			var n atomic.Int64
			source := chance.System()
			b.SetParallelism(32)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := n.Add(1)
					body := c.body
					if list[0] == "" {
						body = fmt.Sprintf(body, id, i*7919%users, i)
					} else {
						body = fmt.Sprintf(body, id, 0, i, list[i*7919%int64(len(list))])
					}
					r := p.Serve(context.Background(), &dispatch.Request{ID: source.RequestIDAt(clock.Machine()), Operation: c.operation, Region: "us-east-1", Inbound: inbound{body}})
					if r.Err != nil {
						b.Error(r.Err)
					}
				}
			})
			if groups := stats().Groups - before.Groups; groups > 0 {
				b.ReportMetric(float64(b.N)/float64(groups), "updates/group")
			}
		})
	}
}
