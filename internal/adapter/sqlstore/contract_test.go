package sqlstore

import (
	"testing"

	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/port/store/storetest"
	"github.com/poolhouse/poolhouse/internal/testing/pgtest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		o    Options
		pg   bool
	}{
		{"sqlite", Options{}, false},
		{"sqlite/twice", Options{Twice: true}, false},
		{"postgres", Options{Connections: 8}, true},
		{"postgres/twice", Options{Connections: 8, Twice: true}, true},
		{"postgres/serializable", Options{Connections: 8, Serializable: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) store.Store {
				o := c.o
				if c.pg {
					o.DSN = pgtest.Database(t)
				}
				return open(t, o)
			})
		})
	}
}
