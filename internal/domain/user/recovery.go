package user

import (
	"slices"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
)

// The mechanisms of account recovery, as AccountRecoverySetting names them.
const (
	recoverByEmail = "verified_email"
	recoverByPhone = "verified_phone_number"
	recoverByAdmin = "admin_only"
)

// legacyRecovery is the choice of pools without AccountRecoverySetting, and of an administrator's reset in pools that
// leave recovery to administrators.
var legacyRecovery = []pool.RecoveryMechanism{{Priority: 1, Name: recoverByPhone}, {Priority: 2, Name: recoverByEmail}}

// RecoveryByAdminOnly reports whether users of the pool cannot recover their password by themselves.
func RecoveryByAdminOnly(p *pool.Pool) bool {
	return slices.ContainsFunc(p.Recovery, func(m pool.RecoveryMechanism) bool { return m.Name == recoverByAdmin })
}

// RecoveryAttribute is the address attribute that gets a code for a new password, "" when no address can: the first
// of the pool's mechanisms, by priority, whose address is verified and no second factor of the user. Where the pool
// names none, a verified phone number comes before a verified e-mail address; a pool that leaves recovery to
// administrators is treated so too, which is for the caller to refuse or not.
//
// Evidence: the developer guide on account recovery, and on the second factors that exclude an address from it.
func RecoveryAttribute(p *pool.Pool, r *Record, factors MessageFactors) string {
	mechanisms := p.Recovery
	if len(mechanisms) == 0 || RecoveryByAdminOnly(p) {
		mechanisms = legacyRecovery
	}
	byPriority := func(a, b pool.RecoveryMechanism) int { return a.Priority - b.Priority }
	for _, m := range slices.SortedStableFunc(slices.Values(mechanisms), byPriority) {
		name, flag, factor := pool.Email, pool.EmailVerified, factors.Email
		if m.Name == recoverByPhone {
			name, flag, factor = pool.PhoneNumber, pool.PhoneNumberVerified, factors.SMS
		}
		if r.Attributes[name] != "" && r.Attributes[flag] == "true" && !factor {
			return name
		}
	}
	return ""
}

// MessageFactors are the second factors of a user that come by message, see Record.Messaged.
type MessageFactors struct{ Email, SMS bool }

// Reaches reports whether an address that got a code for a new password is still a verified one of the user. A code
// that went elsewhere is worth nothing any more.
func (r *Record) Reaches(target string) bool {
	for _, a := range addresses {
		if target != "" && r.Attributes[a.name] == target && r.Attributes[a.flag] == "true" {
			return true
		}
	}
	return false
}

// Recoverable reports whether the user's state lets them set a new password by a code: an unconfirmed user may, if an
// address is verified; who has a temporary password or signs in elsewhere may not.
func (s Status) Recoverable() bool { return s == Confirmed || s == ResetRequired || s == Unconfirmed }

// Resettable reports whether an administrator may reset the password of a user in this state.
func (s Status) Resettable() bool { return s == Confirmed || s == ResetRequired }
