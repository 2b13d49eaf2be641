package challenge

import (
	"slices"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
)

// Firsts are all that the choice of a first factor looks at.
type Firsts struct {
	Allowed  []string // what the pool lets sign-ins begin with, as it names them
	Pool     string   // OFF, OPTIONAL, ON: second factors
	Status   user.Status
	Password bool // the user has one that is of use
	Email    bool // the user has an e-mail address
	Phone    bool // the user has a phone number
	Second   bool // the user has turned a second factor on
}

// Available are the first factors that a user can choose from, in the order in which clients get them. A code that is sent to an
// address takes the place of a password where no second factor is wanted. Passkeys are for their own issue to add, at the end.
//
// Evidence: documented, but for the order, which is that of examples; that users with a temporary password are offered nothing
// else is observed.
func (f Firsts) Available() (list []Name) {
	if f.Status == user.ExternalProvider {
		return nil
	}
	if f.Password && slices.Contains(f.Allowed, pool.FactorPassword) {
		list = append(list, PasswordSRP, Password)
	}
	if f.Pool == poolOn || f.Pool == pool.MFAOptional && f.Second || f.Status == user.ForceChangePassword {
		return list
	}
	if f.Email && slices.Contains(f.Allowed, pool.FactorEmailOTP) {
		list = append(list, EmailOTP)
	}
	if f.Phone && slices.Contains(f.Allowed, pool.FactorSmsOTP) {
		list = append(list, SMSOTP)
	}
	return list
}

// ByCode reports whether a first factor is a code that was sent to an address, and which attribute has the address.
func ByCode(n Name) (attribute string, ok bool) {
	switch n {
	case EmailOTP:
		return pool.Email, true
	case SMSOTP:
		return pool.PhoneNumber, true
	}
	return "", false
}

// Choosing reports whether the sign-in still waits for its first factor, and the user chooses it.
func (s *State) Choosing() bool { return s.Flow == Choice && s.First == "" }

// Chooses reports whether an answer may name a challenge that the sign-in does not stand at: where it stands at the choice, the
// name of a factor in the list is a choice, too.
func (s *State) Chooses(n Name) bool { return s.At == SelectChallenge && slices.Contains(s.Choices, n) }
