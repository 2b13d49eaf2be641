package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/poolhouse/poolhouse/internal/app/bulk"
	"github.com/poolhouse/poolhouse/internal/app/caller"
)

// Bulk is what 'users update' took to change one attribute of every user, recorded in a state file.
type Bulk struct {
	Users       int           `json:"users"`
	Connections int           `json:"connections"`
	Elapsed     time.Duration `json:"elapsed_ns"`
	Rate        float64       `json:"users_per_second"`
	// Single is the rate of single AdminUpdateUserAttributes over as many connections, measured in this run; 0: it was not.
	Single float64 `json:"single_requests_per_second,omitempty"`
	Ratio  float64 `json:"ratio_to_single,omitempty"`
}

// bulkGoal is what changing bulkUsers may take.
const (
	bulkUsers = 100_000
	bulkGoal  = 15.0 // seconds
)

// seconds is what changing bulkUsers takes at this rate.
func (b *Bulk) seconds() float64 { return bulkUsers / b.Rate }

// bulk measures the bulk change.
func (r *runner) bulk(ctx context.Context) error {
	f := r.places[r.Users]
	return r.with(ctx, f, func(s *Server) (err error) {
		r.say("bulk change of %d users", f.users)
		to := caller.New(caller.Endpoint{Address: s.Address, Host: s.Address}, unverified)
		change := bulk.Change{Pool: f.pool, Set: map[string]string{"zoneinfo": "Europe/Paris"}}
		state, past, err := bulk.OpenState(filepath.Join(r.Folder, "bulk.state"), to.Endpoint.String(), &change)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, state.Close()) }()
		got, err := bulk.Run(ctx, bulk.Options{Caller: to, Change: change, Workers: r.most(), State: state, Past: past, MaxRefused: 1})
		if err != nil {
			return fmt.Errorf("bulk change: %w", err)
		}
		if got.Changed < f.users { // there are more when rows have made users
			return fmt.Errorf("bulk change: %d of %d users were changed", got.Changed, f.users)
		}
		b := &Bulk{Users: got.Changed, Connections: r.most(), Elapsed: got.Elapsed, Rate: got.Rate()}
		for _, row := range r.suite.Rows {
			if row.Operation == "AdminUpdateUserAttributes" && row.Connections == b.Connections {
				b.Single, b.Ratio = row.Rate, b.Rate/row.Rate
			}
		}
		r.suite.Bulk = b
		return nil
	})
}

// String is the measurement in a sentence.
func (b *Bulk) String() string {
	text := fmt.Sprintf("Bulk change of %s users over %s: %.1f s, %.0f users a second", thousands(b.Users), connections(b.Connections), b.Elapsed.Seconds(), b.Rate)
	if b.Single > 0 {
		text += fmt.Sprintf(", %.2f of the %.0f single AdminUpdateUserAttributes a second", b.Ratio, b.Single)
	}
	return text + "."
}

// Print writes the rows as a table, and what else is short enough to be printed.
func (s *Suite) Print(w io.Writer) error {
	if err := s.Report.Print(w); err != nil || s.Bulk == nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", s.Bulk)
	return err
}
