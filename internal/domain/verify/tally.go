package verify

import "time"

// Budget names what is counted for a user: each has attempts of its own in an hour.
type Budget string

// The budgets. All nodes share them, and neither a new code nor a new session nor a restart gives one back.
const (
	ConfirmSignUp   Budget = "confirm_sign_up"
	ResendCode      Budget = "resend_code"
	RequestRecovery Budget = "request_recovery"
	ConfirmRecovery Budget = "confirm_recovery"
	ChangePassword  Budget = "change_password"
	AskAttribute    Budget = "ask_attribute"
	VerifyAttribute Budget = "verify_attribute"
	MailFactor      Budget = "mail_factor"      // codes that are sent by e-mail as second factor
	AskFirstFactor  Budget = "ask_first_factor" // codes that are sent as first factor
)

// SecondFactor counts wrong codes of second factors, wherever one is asked for, in the way of SignIn. Neither a new code nor a
// new sign-in begins anew.
const SecondFactor Budget = "second_factor"

// FirstFactor counts wrong codes of first factors, in the way of SignIn.
const FirstFactor Budget = "first_factor"

// SignIn counts wrong passwords, wherever one is asked for. It has no limit in an hour: only its failures count.
const SignIn Budget = "sign_in"

// Budgets are all that have a limit.
var Budgets = [...]Budget{ConfirmSignUp, ResendCode, RequestRecovery, ConfirmRecovery, ChangePassword, AskAttribute, VerifyAttribute, MailFactor, AskFirstFactor}

// Window is how long attempts count against a budget, from the first of them.
const Window = time.Hour

// MaxFailures is how many attempts may fail in a row before nothing is evaluated any more, until an administrator or
// a success by another way clears the tally. The service has no such bound; the standard for authenticators does.
const MaxFailures = 100

// Limit is how many attempts a window allows.
//
// Evidence: documented, except that requests for recovery are counted apart from their confirmations (unconfirmed)
// and that confirmations have the upper end of the documented range of 5 to 20, since no risk is assessed.
func (b Budget) Limit() int {
	switch b {
	case ConfirmSignUp, VerifyAttribute:
		return 15
	case ConfirmRecovery, MailFactor, AskFirstFactor:
		return 20
	case ResendCode, RequestRecovery, ChangePassword, AskAttribute:
		return 5
	default:
		return 0
	}
}

// Tally is how much of a budget a user has spent. The zero value is that of somebody who never tried.
type Tally struct {
	Since    time.Time // of the first attempt in the window; zero: none
	Spent    int       // attempts since then
	Failures int       // failed attempts since the last success; time does not reset them
	Until    time.Time // nothing is evaluated before this instant; zero: no such bound
}

// Spend takes one attempt from the budget. False means that the attempt must not be evaluated, and costs nothing.
func (t Tally) Spend(b Budget, now time.Time) (Tally, bool) {
	if t.Failures >= MaxFailures || now.Before(t.Until) {
		return t, false
	}
	// Nodes differ a little in their clocks, so a window may start a moment from now.
	if t.Since.IsZero() || now.Sub(t.Since).Abs() >= Window {
		t.Since, t.Spent = now, 0
	}
	if t.Spent >= b.Limit() {
		return t, false
	}
	t.Spent++
	return t, true
}

// Fail counts that the attempt was wrong.
func (t Tally) Fail() Tally {
	t.Failures++
	return t
}

// Succeed ends a row of failures. What was spent in this window stays spent.
func (t Tally) Succeed() Tally {
	t.Failures, t.Until = 0, time.Time{}
	return t
}

// Hold reports whether a tally of a budget lets nothing be evaluated at an instant, and until when: zero for what only
// somebody else ends, an administrator or the operator. most is how many passwords may be wrong in a row, 0 for any number.
func (t Tally) Hold(b Budget, most int, now time.Time) (held bool, until time.Time) {
	if b != SignIn {
		most = MaxFailures
	}
	switch {
	case most > 0 && t.Failures >= most:
		return true, time.Time{}
	case t.Locked(now):
		return true, t.Until
	case b.Limit() > 0 && t.Spent >= b.Limit() && now.Sub(t.Since).Abs() < Window:
		return true, t.Since.Add(Window)
	}
	return false, time.Time{}
}
