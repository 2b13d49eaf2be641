package user_test

import (
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	waits := map[string]user.Pending{"email": {Value: "b@x.io", Requested: now}}
	aliases := func(p *pool.Pool) { p.Aliases = []string{pool.Email, pool.PhoneNumber} }
	usernames := func(p *pool.Pool) { p.UsernameAttributes = []string{pool.Email} }
	for _, r := range []struct {
		name              string
		pool              func(*pool.Pool)
		attributes        map[string]string
		pending           map[string]user.Pending
		attribute, target string
		after             map[string]string // nil: the code is for something else
		names             []string
		reserve           []user.Login
	}{
		{name: "current value", attributes: map[string]string{"email": "a@x.io", "email_verified": "false"}, attribute: "email", target: "a@x.io",
			after: map[string]string{"email": "a@x.io", "email_verified": "true"}, names: []string{"email_verified"}},
		{name: "without a flag before", attributes: map[string]string{"phone_number": "+1555"}, attribute: "phone_number", target: "+1555",
			after: map[string]string{"phone_number": "+1555", "phone_number_verified": "true"}, names: []string{"phone_number_verified"}},
		{name: "verified already", attributes: map[string]string{"email": "a@x.io", "email_verified": "true"}, attribute: "email", target: "a@x.io",
			after: map[string]string{"email": "a@x.io", "email_verified": "true"}, names: []string{"email_verified"}},
		{name: "pending value", attributes: map[string]string{"email": "a@x.io", "email_verified": "true"}, pending: waits, attribute: "email", target: "b@x.io",
			after: map[string]string{"email": "b@x.io", "email_verified": "true"}, names: []string{"email", "email_verified"}},
		{name: "pending value without a current one", attributes: map[string]string{}, pending: waits, attribute: "email", target: "b@x.io",
			after: map[string]string{"email": "b@x.io", "email_verified": "true"}, names: []string{"email", "email_verified"}},
		{name: "the old value while another waits", attributes: map[string]string{"email": "a@x.io", "email_verified": "true"}, pending: waits, attribute: "email", target: "a@x.io"},
		{name: "another value", attributes: map[string]string{"email": "a@x.io"}, attribute: "email", target: "c@x.io"},
		{name: "another letter case", attributes: map[string]string{"email": "a@x.io"}, attribute: "email", target: "A@x.io"},
		{name: "no value", attributes: map[string]string{}, attribute: "email", target: ""},
		{name: "no address", attributes: map[string]string{"nickname": "n"}, attribute: "nickname", target: "n"},
		{name: "alias becomes active", pool: aliases, attributes: map[string]string{"email": "a@x.io", "email_verified": "false"}, attribute: "email", target: "a@x.io",
			after: map[string]string{"email": "a@x.io", "email_verified": "true"}, names: []string{"email_verified"}, reserve: []user.Login{{Space: user.Emails, Key: "a@x.io"}}},
		{name: "alias that is active", pool: aliases, attributes: map[string]string{"email": "a@x.io", "email_verified": "true"}, attribute: "email", target: "a@x.io",
			after: map[string]string{"email": "a@x.io", "email_verified": "true"}, names: []string{"email_verified"}},
		{name: "alias changes", pool: aliases, attributes: map[string]string{"email": "a@x.io", "email_verified": "true"}, pending: waits, attribute: "email", target: "b@x.io",
			after: map[string]string{"email": "b@x.io", "email_verified": "true"}, names: []string{"email", "email_verified"}, reserve: []user.Login{{Space: user.Emails, Key: "b@x.io"}}},
		{name: "sign-in name changes", pool: usernames, attributes: map[string]string{"email": "a@x.io", "email_verified": "true"}, pending: waits, attribute: "email", target: "b@x.io",
			after: map[string]string{"email": "b@x.io", "email_verified": "true"}, names: []string{"email", "email_verified"}, reserve: []user.Login{{Space: user.Emails, Key: "b@x.io"}}},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			p := &pool.Pool{ID: "us-east-1_Test"}
			if r.pool != nil {
				r.pool(p)
			}
			u := &user.Record{PoolID: p.ID, Sub: "s", Username: "u", Status: user.Confirmed, Enabled: true, Modified: now.Add(-time.Hour), Attributes: r.attributes, Pending: r.pending}
			before := u.Clone()
			plan, ok := user.Verify(p, u, r.attribute, r.target, now)
			want.Equal(t, u, before)
			want.True(t, ok == (r.after != nil), "the code is accepted: %v", ok)
			if !ok {
				want.Equal(t, plan, user.Plan{})
				return
			}
			want.Equal(t, plan.After.Attributes, r.after)
			want.Equal(t, len(plan.After.Pending), 0)
			want.Equal(t, plan.After.Modified, now)
			want.Equal(t, plan.Names, r.names)
			want.Equal(t, plan.Void, []string{r.attribute})
			want.Equal(t, len(plan.Moves)+len(plan.Verify), 0)
			want.Equal(t, append([]user.Login{}, plan.Reserve...), append([]user.Login{}, r.reserve...))
		})
	}
}
