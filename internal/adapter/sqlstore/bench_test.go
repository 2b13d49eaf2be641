package sqlstore

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/filter"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/pgtest"
)

const benchUsers = 10_000

// populated is a store with a pool of users of about 900 bytes.
func populated(b *testing.B, o Options) (*Store, *pool.Pool) {
	b.Helper()
	s := open(b, o)
	p := samplePool("eu-west-1_AAAAAAAAA")
	if err := s.Update(b.Context(), store.Scope{}, func(tx store.Tx) error { return tx.Pools().Create(p) }); err != nil {
		b.Fatal(err)
	}
	for from := 0; from < benchUsers; from += 1000 {
		if err := s.Update(b.Context(), store.Scope{}, func(tx store.Tx) error {
			for i := from; i < from+1000; i++ {
				u := sampleUser(p, fmt.Sprintf("%08x-1111-70ae-d2ee-991ad1a898c8", i*7919), fmt.Sprintf("user-%d", i))
				for k := range 10 {
					u.Attributes[fmt.Sprintf("custom:attribute_%d", k)] = strings.Repeat("x", 50)
				}
				if err := tx.Users().Create(p, u); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	return s, p
}

// benchUpdate is what AdminUpdateUserAttributes does to the store.
func benchUpdate(b *testing.B, s *Store, p *pool.Pool, callers int) {
	ids := chance.System()
	var next atomic.Int64
	var wg sync.WaitGroup
	groups := s.Stats().Groups
	b.ReportAllocs()
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				name := fmt.Sprintf("user-%d", n*7919%benchUsers)
				value := fmt.Sprintf("%050d", n)
				request := ids.RequestID()
				err := s.Update(b.Context(), store.Scope{Pool: p, Login: name, Plain: true}, func(tx store.Tx) error {
					before, err := tx.Users().ByLogin(p, name)
					if err != nil {
						return err
					}
					after := before.Clone()
					after.Attributes["custom:attribute_3"] = value
					if err := tx.Users().Save(p, before, after); err != nil {
						return err
					}
					return tx.Journal().Add(store.Entry{RequestID: request, Time: noon, Caller: "AKIAIOSFODNN7EXAMPLE", Source: "127.0.0.1",
						Operation: "AdminUpdateUserAttributes", PoolID: p.ID, Sub: after.Sub, Names: []string{"custom:attribute_3"}})
				})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
	if groups = s.Stats().Groups - groups; groups > 0 {
		b.ReportMetric(float64(b.N)/float64(groups), "updates/group")
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, c := range []struct {
		name string
		o    func(b *testing.B) Options
	}{
		{"sqlite", func(b *testing.B) Options { return Options{Path: filepath.Join(b.TempDir(), "poolhouse.db")} }},
		{"postgres", func(b *testing.B) Options { return Options{DSN: pgtest.Database(b)} }},
	} {
		b.Run(c.name, func(b *testing.B) {
			s, p := populated(b, c.o(b))
			for _, callers := range []int{1, 64} {
				b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) { benchUpdate(b, s, p, callers) })
			}
		})
	}
}

func BenchmarkView(b *testing.B) {
	s, p := populated(b, Options{})
	for _, callers := range []int{1, 16} {
		b.Run(fmt.Sprintf("byLogin/callers=%d", callers), func(b *testing.B) {
			benchView(b, s, callers, func(v store.View, n int64) error {
				_, err := v.Users().ByLogin(p, fmt.Sprintf("user-%d", n*7919%benchUsers))
				return err
			})
		})
		b.Run(fmt.Sprintf("listByEmail/callers=%d", callers), func(b *testing.B) {
			benchView(b, s, callers, func(v store.View, n int64) error {
				f := filter.Filter{Attribute: "email", Op: filter.Equal, Value: fmt.Sprintf("user-%d@example.com", n*7919%benchUsers)}
				_, _, err := v.Users().List(p, store.Query{Filter: f, Limit: 60})
				return err
			})
		})
	}
}

func benchView(b *testing.B, s *Store, callers int, fn func(v store.View, n int64) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				if err := s.View(b.Context(), func(v store.View) error { return fn(v, n) }); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "views/s")
}
