// Package verify holds the rules about codes: what they are for, how long they live, how many tries they allow.
//
// It is pure. Codes are drawn by package chance before a transaction and stored as keyed hashes by the store;
// who is told a code is the business of package notice.
package verify

import (
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

// Purpose says what a code is for. Purposes do not mix, and a user has at most one code of each.
type Purpose string

// The purposes of codes.
const (
	SignUp         Purpose = "sign_up"
	ForgotPassword Purpose = "forgot_password"
	Email          Purpose = "email"
	Phone          Purpose = "phone_number"
)

// AttributeLife is how long a code for the verification of an attribute, or for a sign-up, can be used.
const AttributeLife = 24 * time.Hour

// RecoveryLife is how long a code for a new password can be used, whoever asked for it.
const RecoveryLife = time.Hour

// Code is an outstanding code.
type Code struct {
	PoolID  string
	Sub     string
	Purpose Purpose
	Target  string // the address it was sent to; a code verifies this value and no other
	Plain   secret.Text
	Created time.Time
	Expires time.Time
}

// ForAttribute is the purpose of a code that verifies an attribute.
func ForAttribute(attribute string) Purpose {
	if attribute == "email" {
		return Email
	}
	return Phone
}
