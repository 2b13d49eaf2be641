package challenge

import (
	"encoding/json"
	"errors"
	"fmt"
)

// This file holds the rules of custom sign-ins, in which a pool's own functions decide what comes next.

// Decision is what a DefineAuthChallenge function said: an end, or the name of the next challenge.
type Decision struct {
	Name        Name
	Issue, Fail bool
}

// What can come of a decision besides a next step.
var (
	ErrFailed  = errors.New("challenge: the function ends the sign-in")
	ErrUnknown = errors.New("challenge: the function names no challenge that can come next")
)

// Decide is what a custom sign-in goes on to after its function's decision; a step that is done means tokens. A password can be
// asked for by SRP alone, and only when the client has begun the exchange just now.
//
// Evidence: documented; that failing goes before issuing is unconfirmed.
func Decide(s *State, d Decision) (Step, error) {
	if d.Fail {
		return Step{}, ErrFailed
	}
	if d.Issue {
		return Step{}, nil
	}
	switch d.Name {
	case CustomChallenge, SMSMFA, SoftwareTokenMFA, EmailOTP:
		return Step{Name: d.Name}, nil
	case PasswordVerifier:
		if len(s.History) == 1 && s.History[0].Name == SRPA {
			return Step{Name: d.Name}, nil
		}
	}
	return Step{}, ErrUnknown
}

// Answer is the state after its custom challenge was answered. A wrong answer goes on, too: the functions decide what it means.
func (s *State) Answer(right bool) State {
	next := s.leave()
	next.History = append(next.History, Result{Name: s.At, Right: right, Note: s.Note})
	return next
}

// told reports whether the functions learn that a challenge was answered. A choice, or a set-up, is no proof.
func told(n Name) bool { return n != SelectMFAType && n != MFASetup }

// memory is what only custom sign-ins remember.
type memory struct {
	History []Result          `json:"h,omitempty"`
	Private map[string]string `json:"v,omitempty"`
	Note    *string           `json:"m,omitempty"`
}

// MaxKept is how many bytes of memory are kept for a custom sign-in that remembers more than a session can hold.
const MaxKept = 64 << 10

// Shed takes the memory of a custom sign-in out of a state that is too long for a session, and returns it as bytes that the
// server has to keep for the state's step; nil when the state is short enough. ErrSize says that it is more than is kept.
func (s *State) Shed() ([]byte, error) {
	_, err := s.Encode()
	if !errors.Is(err, ErrSize) {
		return nil, err
	}
	kept, err := json.Marshal(memory{s.History, s.Private, s.Note})
	if err != nil {
		return nil, fmt.Errorf("write the memory of a sign-in: %w", err)
	}
	if len(kept) > MaxKept {
		return nil, ErrSize
	}
	s.History, s.Private, s.Note, s.Kept = nil, nil, nil, true
	return kept, nil
}

// Recall puts back what Shed took out.
func (s *State) Recall(kept []byte) error {
	var m memory
	if err := json.Unmarshal(kept, &m); err != nil {
		return fmt.Errorf("read the memory of a sign-in: %w", err)
	}
	s.History, s.Private, s.Note, s.Kept = m.History, m.Private, m.Note, false
	return nil
}
