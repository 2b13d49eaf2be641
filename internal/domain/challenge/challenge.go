// Package challenge holds the rules about sign-ins: which step follows which, and what a sign-in remembers between two
// requests.
//
// It is pure. What a step asks for and how its answer is proven is the business of the operations; how a password is
// compared that of kit/srp, and how claims are made that of package token.
package challenge

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

// Name is what a challenge is called.
type Name string

// The challenges that a sign-in can stand at.
const (
	PasswordVerifier       Name = "PASSWORD_VERIFIER"
	NewPasswordRequired    Name = "NEW_PASSWORD_REQUIRED"
	SMSMFA                 Name = "SMS_MFA"
	SoftwareTokenMFA       Name = "SOFTWARE_TOKEN_MFA"
	EmailOTP               Name = "EMAIL_OTP" // as first or as second factor
	SMSOTP                 Name = "SMS_OTP"
	SelectMFAType          Name = "SELECT_MFA_TYPE"
	MFASetup               Name = "MFA_SETUP"
	DeviceSRPAuth          Name = "DEVICE_SRP_AUTH"
	DevicePasswordVerifier Name = "DEVICE_PASSWORD_VERIFIER"
	CustomChallenge        Name = "CUSTOM_CHALLENGE"
	SelectChallenge        Name = "SELECT_CHALLENGE"
	Password               Name = "PASSWORD"
	PasswordSRP            Name = "PASSWORD_SRP"
	WebAuthn               Name = "WEB_AUTHN"

	// SRPA is not a challenge: it stands for the begun exchange in the history of a custom sign-in.
	SRPA Name = "SRP_A"
	// Define is not a challenge either: the pool's DefineAuthChallenge function says what comes next.
	Define Name = "define"
	// SignedUp is none either: the user has just proven an address by the code of a sign-up.
	SignedUp Name = "signed_up"
)

// Flow is the way in which a sign-in was begun.
type Flow string

// The flows. Names that mean the same are one.
const (
	UserSRP       Flow = "USER_SRP_AUTH"
	UserPassword  Flow = "USER_PASSWORD_AUTH"
	AdminPassword Flow = "ADMIN_USER_PASSWORD_AUTH"
	Custom        Flow = "CUSTOM_AUTH"
	Choice        Flow = "USER_AUTH"
	Refresh       Flow = "REFRESH_TOKEN_AUTH"
)

// FlowOf is the flow that a caller means, as both spellings of some name one.
func FlowOf(name string) Flow {
	switch name {
	case "ADMIN_NO_SRP_AUTH":
		return AdminPassword
	case "REFRESH_TOKEN":
		return Refresh
	}
	return Flow(name)
}

// State is how far a sign-in has come. It travels, sealed, in the session of the challenge that it stands at, and the
// client can neither read nor change it.
type State struct {
	ID       string    `json:"i"` // of this step, drawn by the server; a step is passed once
	Flow     Flow      `json:"f"`
	At       Name      `json:"a"`
	Sub      string    `json:"s,omitempty"` // "": there is no such user, and nothing will ever be right
	Username string    `json:"n"`           // immutable, of a user; else as it was given
	Expires  time.Time `json:"e"`
	// Counts is the sub of the user whose tries these are, where Sub is empty because that user can prove nothing and nobody may know
	// that there is one; else "".
	Counts string `json:"o,omitempty"`
	// First is the first factor that was proven: Password, PasswordVerifier, EmailOTP, SMSOTP or WebAuthn; "" when none
	// was, or the pool's own functions decide alone.
	First Name `json:"p,omitempty"`
	// Passed are the challenges that were answered right, in their order.
	Passed []Name `json:"d,omitempty"`
	// Choices are what the challenge lets choose from.
	Choices []Name `json:"c,omitempty"`
	// Code is the code that was sent for this step.
	Code *Code `json:"k,omitempty"`
	// Setup is how far the set-up of an authenticator app has come in this step.
	Setup *Setup `json:"t,omitempty"`
	// Exchange is a begun proof of a password.
	Exchange *Exchange `json:"x,omitempty"`
	// History is what DefineAuthChallenge has been told, and Private what CreateAuthChallenge wants to be reminded of.
	History []Result          `json:"h,omitempty"`
	Private map[string]string `json:"v,omitempty"`
	Note    *string           `json:"m,omitempty"` // challengeMetadata of the present custom challenge
	// Kept says that the three above are kept by the server, under the ID.
	Kept bool `json:"b,omitempty"`
}

// Code is a code that was sent for a step, as a hash: it is good for this step alone, and for the address it went to.
type Code struct {
	Hash []byte `json:"h"`
	To   string `json:"t"`
}

// NewCode is a code that was sent for the step of an id.
func NewCode(step, to string, code secret.Text) *Code { return &Code{Hash: hashOf(step, code), To: to} }

// Matches reports whether a text is the code that was sent for the step.
func (c *Code) Matches(step string, given secret.Text) bool {
	return c != nil && subtle.ConstantTimeCompare(c.Hash, hashOf(step, given)) == 1
}

func hashOf(step string, code secret.Text) []byte {
	sum := sha256.Sum256([]byte(step + " " + code.Reveal()))
	return sum[:]
}

// Setup is the set-up of an authenticator app within a sign-in.
type Setup struct {
	Key  []byte `json:"k"`           // the hash of the key that was handed out in this sign-in
	Done bool   `json:"d,omitempty"` // its first code was right
}

// NewSetup is the set-up of an app that was given the key.
func NewSetup(key []byte) *Setup {
	sum := sha256.Sum256(key)
	return &Setup{Key: sum[:]}
}

// Of reports whether the key is the one that was handed out in this sign-in.
func (s *Setup) Of(key []byte) bool {
	return s != nil && subtle.ConstantTimeCompare(s.Key, NewSetup(key).Key) == 1
}

// Exchange is what the server remembers of an SRP exchange between its two requests.
type Exchange struct {
	A []byte `json:"a"` // the client's public value
	U []byte `json:"u"` // the scrambling of both public values
	B []byte `json:"b"` // the server's secret exponent
}

// Result is an entry of the history of a custom sign-in.
type Result struct {
	Name  Name    `json:"n"`
	Right bool    `json:"r"`
	Note  *string `json:"m,omitempty"`
}

// minSize is the length to which small states are filled up, so that their sessions tell little by their length.
const minSize = 1100

// MaxSize is the number of bytes of the longest state whose session clients can send back: 2,048 characters.
const MaxSize = 1480

// ErrSize says that a sign-in has to remember more than a session can hold.
var ErrSize = errors.New("challenge: the state of a sign-in is too long for a session")

// Encode writes the state.
func (s *State) Encode() (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return "", fmt.Errorf("write a sign-in: %w", err)
	}
	if b.Len() > MaxSize {
		return "", ErrSize
	}
	if n := minSize - b.Len(); n > 0 {
		b.Write(bytes.Repeat([]byte{' '}, n))
	}
	return b.String(), nil
}

// Decode reads what Encode wrote.
func Decode(text string) (*State, error) {
	var s State
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return nil, fmt.Errorf("read a sign-in: %w", err)
	}
	return &s, nil
}

// Pass is the state after its challenge was answered right. Its id and its expiry are for the next step to set.
func (s *State) Pass() State {
	next := s.leave()
	next.Passed = append(slices.Clone(s.Passed), s.At)
	if s.Flow == Custom && told(s.At) {
		next.History = append(next.History, Result{Name: s.At, Right: true})
	}
	return next
}

// leave is the state without what belongs to its challenge alone.
func (s *State) leave() State {
	next := *s
	next.History = slices.Clone(s.History)
	next.At, next.Choices, next.Exchange, next.Private, next.Note = "", nil, nil, nil, nil
	next.Code, next.Setup = nil, nil
	return next
}

// Has reports whether the challenge was answered right.
func (s *State) Has(n Name) bool { return slices.Contains(s.Passed, n) }

// Step is what a sign-in asks for next.
type Step struct {
	Name    Name   // "": nothing, the user is signed in
	Choices []Name // of SelectMFAType and MFASetup
	// Stuck says that the pool demands a second factor and the user has no way to one.
	Stuck bool
}

// Done reports whether the user is signed in.
func (s Step) Done() bool { return s.Name == "" && !s.Stuck }

// Next is what follows when a factor was proven: a new password where the present one is temporary, then the second
// factor, then, in a custom sign-in, whatever its functions want. Devices come last; their place is before the end.
//
// The state is as Pass left it; the status and the factors are as that answer left them.
func Next(s *State, status user.Status, f Factors) Step {
	if s.First != "" && status == user.ForceChangePassword && !s.Has(NewPasswordRequired) {
		return Step{Name: NewPasswordRequired}
	}
	if step := secondFactor(s, f); !step.Done() {
		return step
	}
	if s.Flow == Custom {
		return Step{Name: Define}
	}
	return Step{}
}

// secondFactor is the MFA stage of a sign-in, which some first factors make superfluous. Without a first factor the pool's
// functions decide alone.
//
// Evidence: documented.
func secondFactor(s *State, f Factors) Step {
	switch s.First {
	case "":
		return Step{}
	case EmailOTP, SMSOTP: // possession of the address is proven
		return Step{}
	case WebAuthn:
		if f.Pool != poolOn && len(f.Enabled) == 0 {
			return Step{}
		}
	}
	for _, n := range s.Passed {
		switch n {
		case SMSMFA, SoftwareTokenMFA, EmailOTP, MFASetup:
			return Step{}
		}
	}
	return MFA(f)
}
