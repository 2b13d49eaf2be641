package challenge

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
)

const (
	poolOff = pool.MFAOff
	poolOn  = pool.MFAOn
)

// Factors are all that the choice of a second factor looks at. Lists are in the order SMSMFA, SoftwareTokenMFA, EmailOTP.
type Factors struct {
	Pool      string // OFF, OPTIONAL, ON
	Active    []Name // the methods that the pool has turned on
	Enabled   []Name // those that the user has turned on
	Preferred Name   // "": none
	TOTP      bool   // the user has a verified software token
	Phone     bool   // the user has a phone number
	Email     bool   // the user has an e-mail address
	// Recovery is the attribute by which passwords are recovered first, "" when only an administrator recovers them.
	Recovery string
}

// Choices are names as a parameter of SelectMFAType or MFASetup lists them: JSON in a text.
func Choices(list []Name) (string, error) {
	text, err := json.Marshal(list)
	if err != nil {
		return "", fmt.Errorf("write choices: %w", err)
	}
	return string(text), nil
}

func (f *Factors) active(n Name) bool { return slices.Contains(f.Active, n) }

// only reports whether a method is the only one of the pool.
func (f *Factors) only(n Name) bool { return len(f.Active) == 1 && f.Active[0] == n }

// MFA is the stage of the second factor: the challenge to be passed, none, or no way on.
//
// Evidence: the developer guide on the choice of a second factor. That SMS is asked for although it recovers passwords
// where the pool has nothing else is what clients have always seen; what happens to users without any way on is
// unconfirmed.
func MFA(f Factors) Step {
	if f.Pool == poolOff || f.Pool == "" {
		return Step{}
	}
	if f.Pool != poolOn && len(f.Enabled) == 0 {
		return Step{}
	}
	if f.Preferred != "" {
		return Step{Name: f.Preferred}
	}
	if len(f.Enabled) > 0 {
		return choose(f.Enabled)
	}
	if usable := f.usable(); len(usable) > 0 {
		return choose(usable)
	}
	return f.setup()
}

// choose is the challenge of one factor, or the choice between several.
func choose(list []Name) Step {
	if len(list) == 1 {
		return Step{Name: list[0]}
	}
	return Step{Name: SelectMFAType, Choices: list}
}

// usable are the factors of a user who has turned none on, in a pool that demands one.
func (f *Factors) usable() (list []Name) {
	if f.active(SMSMFA) && f.Phone && (f.Recovery != pool.PhoneNumber || f.only(SMSMFA)) {
		list = append(list, SMSMFA)
	}
	if f.active(SoftwareTokenMFA) && f.TOTP {
		list = append(list, SoftwareTokenMFA)
	}
	if f.active(EmailOTP) && f.Email && f.Recovery != pool.Email {
		list = append(list, EmailOTP)
	}
	return list
}

// setup is for a user who has nothing to prove a second factor with.
func (f *Factors) setup() Step {
	if !f.Phone && !f.Email {
		list := slices.DeleteFunc(slices.Clone(f.Active), func(n Name) bool {
			return n == SMSMFA && f.Recovery == pool.PhoneNumber || n == EmailOTP && f.Recovery == pool.Email
		})
		if len(list) == 0 {
			list = f.Active
		}
		if len(list) > 0 {
			return Step{Name: MFASetup, Choices: list}
		}
	}
	switch {
	case f.active(SoftwareTokenMFA):
		return Step{Name: MFASetup, Choices: []Name{SoftwareTokenMFA}}
	case f.only(SMSMFA) && !f.Phone:
		return Step{Name: MFASetup, Choices: []Name{SMSMFA}} // an administrator has to add a phone number
	}
	return Step{Stuck: true}
}
