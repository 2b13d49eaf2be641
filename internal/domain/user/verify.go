package user

import (
	"slices"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
)

// Unproven is the value of an address that a code would verify now: the one that waits for its verification, else the
// current one. It is "" when the user has neither, and for attributes that are no address.
func (r *Record) Unproven(attribute string) string {
	if _, ok := flagOfAddress(attribute); !ok {
		return ""
	}
	if p, waits := r.Pending[attribute]; waits {
		return p.Value
	}
	return r.Attributes[attribute]
}

// Verify decides what the right code for an address does: the value that waited becomes the current one, and its flag
// becomes true, by which an alias becomes active. A code verifies the value it was sent to and no other: false says that
// target is not what the user would verify now.
//
// Unlike an administrator's update it takes no login from anybody: the plan's Reserve are the logins that nobody else may
// hold.
//
// Evidence: the reference of VerifyUserAttribute; that a taken alias is refused is unconfirmed.
func Verify(p *pool.Pool, u *Record, attribute, target string, now time.Time) (Plan, bool) {
	flag, ok := flagOfAddress(attribute)
	if !ok || target == "" || target != u.Unproven(attribute) {
		return Plan{}, false
	}
	plan := Plan{After: u.Clone(), Names: []string{flag}, Void: []string{attribute}}
	after := plan.After
	after.Modified = now
	if _, waited := after.Pending[attribute]; waited {
		delete(after.Pending, attribute)
		after.Attributes[attribute] = target
		plan.Names = []string{attribute, flag}
	}
	after.Attributes[flag] = "true"
	plan.Reserve = after.claims(p, u)
	return plan, true
}

// claims are the logins that the record has and before had not.
func (r *Record) claims(p *pool.Pool, before *Record) []Login {
	had := before.Logins(p)
	return slices.DeleteFunc(r.Logins(p), func(l Login) bool { return slices.Contains(had, l) })
}

// flagOfAddress is the flag of an attribute that can be verified.
func flagOfAddress(attribute string) (flag string, ok bool) {
	for _, a := range addresses {
		if a.name == attribute {
			return a.flag, true
		}
	}
	return "", false
}
