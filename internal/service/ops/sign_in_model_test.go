package ops_test

import (
	"slices"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/totp"
)

// This file is what TestWalk believes about sign-ins, written without a look at the server's code: a small machine of its own, of
// booleans and texts. It says of every request what must come back.

// What a request comes to: the name of a challenge, these, or the text of a fault.
const (
	modelTokens = "tokens"
)

// The texts that stand nowhere else.
const (
	mustReset      = "PasswordResetRequiredException: Password reset required for the user"
	mustConfirm    = "UserNotConfirmedException: User is not confirmed."
	tooShort       = "InvalidPasswordException: Password does not conform to policy: Password not long enough"
	noSuchMethod   = "MFAMethodNotFoundException: " + noMethod
	badChoice      = "InvalidParameterException: Invalid MFA type selected."
	tooManyMails   = "TooManyRequestsException: Attempt limit exceeded, please try after some time."
	refreshRevoked = "NotAuthorizedException: Refresh Token has been revoked"
)

// modelPool is a pool with its client.
type modelPool struct {
	mfa              string   // OFF, OPTIONAL, ON
	sms, totp, email bool     // are methods of the pool
	recovery         string   // SMS_MFA or EMAIL_OTP, when codes for new passwords go there first; else ""
	hidden           bool     // the client hides who exists
	factors          []string // the policy: what sign-ins by choice may begin with, of PASSWORD, EMAIL_OTP, SMS_OTP
	functions        modelFunctions
}

// modelFunctions are the functions of custom sign-ins, which the walk plays to the server and asks itself.
type modelFunctions struct {
	srp    bool   // who has begun an exchange has to prove the password
	rounds int    // riddles to be solved
	limit  int    // wrong answers that end a sign-in
	factor string // a second factor that is asked for in the end, if it was not passed before; "": none
	astray bool   // in place of tokens they ask for what cannot be asked
}

// says is what the functions want after a history.
func (f *modelFunctions) says(history []string) string {
	right, wrong := 0, 0
	for _, entry := range history {
		if strings.HasPrefix(entry, "CUSTOM_CHALLENGE+") {
			right++
		}
		if strings.HasPrefix(entry, "CUSTOM_CHALLENGE-") {
			wrong++
		}
	}
	switch {
	case f.srp && slices.Equal(history, []string{"SRP_A+"}):
		return "PASSWORD_VERIFIER"
	case wrong >= f.limit:
		return "fail"
	case right < f.rounds:
		return "CUSTOM_CHALLENGE"
	case f.factor != "" && !slices.Contains(history, f.factor+"+"):
		return f.factor
	case f.astray:
		return "NEW_PASSWORD_REQUIRED"
	}
	return modelTokens
}

// active are the methods of the pool, in their order.
func (p *modelPool) active() []string {
	if p.mfa == "OFF" {
		return nil
	}
	return pick(map[string]bool{"SMS_MFA": p.sms, "SOFTWARE_TOKEN_MFA": p.totp, "EMAIL_OTP": p.email})
}

// pick lists what is true, in the order of lists on the wire.
func pick(of map[string]bool) (list []string) {
	for _, name := range []string{"SMS_MFA", "SOFTWARE_TOKEN_MFA", "EMAIL_OTP"} {
		if of[name] {
			list = append(list, name)
		}
	}
	return list
}

// modelLock is a row of wrong answers. Five are free; the fifth locks for a second, each further one twice as long, up to 15 minutes.
// Fifteen quiet minutes begin anew.
type modelLock struct {
	wrong       int
	last, until time.Time
}

func (l *modelLock) on(now time.Time) bool { return now.Before(l.until) }

func (l *modelLock) miss(now time.Time) {
	if now.Sub(l.last) > 15*time.Minute {
		l.wrong = 0
	}
	l.wrong++
	l.last = now
	if l.wrong >= 5 {
		l.until = now.Add(min(time.Second<<(l.wrong-5), 15*time.Minute))
	}
}

// modelUser is somebody, or a name that nobody has.
type modelUser struct {
	name              string
	exists, enabled   bool
	status            string // confirmed, temporary, unconfirmed, reset
	password          string
	changed           int // how often it was
	phone, email, app bool
	on                map[string]bool // factors that were turned on
	preferred         string
	key               []byte // of the app
	step              totp.Step
	*modelTries
}

// modelTries are what somebody, or nobody, has tried.
type modelTries struct {
	words, codes modelLock
	firsts       modelLock   // of codes that are first factors
	mails, asked []time.Time // when codes went out: by e-mail as second factor, and as first factor, since the first of an hour
}

// nobody is who a user is to a sign-in that hides that the user can prove nothing.
func (u *modelUser) nobody() *modelUser {
	return &modelUser{name: u.name, enabled: true, modelTries: u.modelTries}
}

// factors are those that are on and can be asked for; where none of them can, all that are on.
func (u *modelUser) factors(p *modelPool) (list []string, stuck bool) {
	can := map[string]bool{"SMS_MFA": u.on["SMS_MFA"] && u.phone && p.sms, "SOFTWARE_TOKEN_MFA": u.on["SOFTWARE_TOKEN_MFA"] && u.app, "EMAIL_OTP": u.on["EMAIL_OTP"] && u.email}
	if list := pick(can); len(list) > 0 {
		return list, false
	}
	list = pick(u.on)
	return list, len(list) > 0
}

// next is what follows a first factor: a challenge, its choices, or the text of a user who cannot go on. The fault of InitiateAuth, which is
// atStart, is another one.
func (u *modelUser) next(p *modelPool, atStart bool) (outcome string, choices []string) {
	if u.status == "temporary" {
		return "NEW_PASSWORD_REQUIRED", nil
	}
	nothing := noSuchMethod
	if atStart {
		nothing = invalid(noMethod)
	}
	if p.mfa == "OFF" {
		return modelTokens, nil
	}
	on, stuck := u.factors(p)
	switch {
	case len(on) == 0 && p.mfa == "OPTIONAL":
		return modelTokens, nil
	case slices.Contains(on, u.preferred):
		on = []string{u.preferred}
	}
	if len(on) == 1 && stuck {
		return nothing, nil
	}
	if len(on) == 0 {
		on = pick(map[string]bool{
			"SMS_MFA":            p.sms && u.phone && (p.recovery != "SMS_MFA" || len(p.active()) == 1),
			"SOFTWARE_TOKEN_MFA": p.totp && u.app,
			"EMAIL_OTP":          p.email && u.email && p.recovery != "EMAIL_OTP",
		})
	}
	switch {
	case len(on) == 1:
		return on[0], nil
	case len(on) > 1:
		return "SELECT_MFA_TYPE", on
	case !u.phone && !u.email:
		list := slices.DeleteFunc(p.active(), func(name string) bool { return name == p.recovery })
		if len(list) == 0 {
			list = p.active()
		}
		return "MFA_SETUP", list
	case p.totp:
		return "MFA_SETUP", []string{"SOFTWARE_TOKEN_MFA"}
	case p.sms && len(p.active()) == 1 && !u.phone:
		return "MFA_SETUP", []string{"SMS_MFA"}
	}
	return nothing, nil
}

// ask is a challenge on its way: a code by e-mail is refused when too many went out in an hour, and one to nowhere cannot be sent.
func (u *modelUser) ask(p *modelPool, name string, now time.Time) string {
	switch name {
	case "EMAIL_OTP":
		if !spendMail(&u.mails, now) {
			return tooManyMails
		}
		if u.exists && !u.email {
			return noSuchMethod
		}
	case "SMS_MFA":
		if u.exists && !(u.phone && p.sms) {
			return noSuchMethod
		}
	case "SOFTWARE_TOKEN_MFA":
		if u.exists && !u.app {
			return noSuchMethod
		}
	}
	return name
}

// spendMail counts a code that goes out, of which there are twenty in an hour.
func spendMail(out *[]time.Time, now time.Time) bool {
	if len(*out) > 0 && now.Sub((*out)[0]) >= time.Hour {
		*out = nil
	}
	if len(*out) >= 20 {
		return false
	}
	*out = append(*out, now)
	return true
}

// choices are what a sign-in by choice can begin with; nobody could begin with all that the pool allows.
func (u *modelUser) choices(p *modelPool) (list []string) {
	if !u.exists || u.password != "" {
		list = append(list, "PASSWORD_SRP", "PASSWORD")
	}
	if p.mfa == "ON" || u.exists && (p.mfa == "OPTIONAL" && len(pick(u.on)) > 0 || u.status == "temporary") {
		return list
	}
	if slices.Contains(p.factors, "EMAIL_OTP") && (!u.exists || u.email) {
		list = append(list, "EMAIL_OTP")
	}
	if slices.Contains(p.factors, "SMS_OTP") && (!u.exists || u.phone) {
		list = append(list, "SMS_OTP")
	}
	return list
}

// askFirst is the challenge of a first factor on its way.
func (u *modelUser) askFirst(name string, now time.Time) string {
	if (name == "EMAIL_OTP" || name == "SMS_OTP") && !spendMail(&u.asked, now) {
		return tooManyMails
	}
	return name
}

// decided is what comes of a custom sign-in after a history; proven says that the password was.
func (u *modelUser) decided(p *modelPool, history []string, proven bool) string {
	switch next := p.functions.says(history); {
	case next == "fail", next == modelTokens && !u.exists:
		return incorrect
	case next == "NEW_PASSWORD_REQUIRED":
		return noChallenge
	case next != modelTokens:
		return next
	case !proven && u.status == "unconfirmed":
		return mustConfirm
	case !u.enabled:
		return isDisabled
	}
	return modelTokens
}

// door is what somebody reads at the start of a sign-in, "" who may go on.
func (u *modelUser) door(p *modelPool) string {
	switch {
	case p.hidden:
	case !u.exists:
		return nobodyThere
	case !u.enabled:
		return isDisabled
	}
	return ""
}

// typed is what comes of a password that was typed, or proven, behind the door; "" when it is right and the user may sign in.
func (u *modelUser) typed(p *modelPool, right bool, now time.Time) string {
	switch {
	case u.words.on(now):
		return lockedOut
	case u.exists && u.status == "reset" && !p.hidden:
		return mustReset
	case u.exists && !u.enabled && !p.hidden: // since the sign-in began
		return isDisabled
	case !right || !u.exists:
		u.words.miss(now)
		return incorrect
	}
	u.words = modelLock{}
	switch {
	case !u.enabled:
		return isDisabled
	case u.status == "reset":
		return mustReset
	case u.status == "unconfirmed":
		return mustConfirm
	}
	return ""
}

// modelVisit is a sign-in that waits for an answer.
type modelVisit struct {
	user    *modelUser
	at      string
	choices []string
	expires time.Time
	passed  bool
	changed int // of the password, when the exchange began
	flow    string
	proven  bool     // a first factor was
	history []string // of a custom sign-in, as its functions are told it
}

// old is what the session of a visit is refused with, whatever the answer; "" when it is good. Where a password can be typed, who is
// disabled is told later.
func (v *modelVisit) old(p *modelPool, now time.Time) string {
	switch {
	case !now.Before(v.expires):
		return oldSession
	case v.passed:
		return usedSession
	case slices.Contains([]string{"PASSWORD_VERIFIER", "PASSWORD", "SELECT_CHALLENGE"}, v.at):
		return ""
	}
	return v.shut(p)
}

// shut is what somebody reads who was disabled since, "" who was not or may not know.
func (v *modelVisit) shut(p *modelPool) string {
	if !v.user.enabled && (v.proven || !p.hidden) {
		return isDisabled
	}
	return ""
}

// firstCode is what comes of a code that is a first factor; "" when it is right.
func (v *modelVisit) firstCode(p *modelPool, right bool, now time.Time) string {
	u := v.user
	switch {
	case u.firsts.on(now):
		return lockedOut
	case !right:
		u.firsts.miss(now)
		return factorWrong
	case !u.enabled:
		return isDisabled
	case !slices.Contains(u.choices(p), v.at):
		return badSession
	}
	u.firsts = modelLock{}
	if u.status == "unconfirmed" || u.status == "reset" && u.password == "" {
		u.status = "confirmed"
	}
	return ""
}

// then is what follows a right answer: a challenge, its choices, or the text of a fault. told says that the pool's functions decided it.
func (v *modelVisit) then(p *modelPool, atStart bool) (outcome string, choices []string, told bool) {
	outcome = modelTokens
	switch v.at {
	case "CUSTOM_AUTH", "CUSTOM_CHALLENGE", "SMS_MFA", "SOFTWARE_TOKEN_MFA", "EMAIL_OTP", "SMS_OTP", "MFA_SETUP": // no second factor after these
	default:
		outcome, choices = v.user.next(p, atStart)
	}
	if told = v.flow == "CUSTOM_AUTH" && outcome == modelTokens; told {
		outcome = v.user.decided(p, v.history, v.proven)
	}
	return outcome, choices, told
}

// code is what comes of a code; "" when it is right.
func (v *modelVisit) code(right bool, step totp.Step, now time.Time) string {
	u := v.user
	app := v.at == "SOFTWARE_TOKEN_MFA"
	switch {
	case u.words.on(now) || u.codes.on(now):
		return lockedOut
	case !right:
		u.codes.miss(now)
		if app {
			return appWrong
		}
		return factorWrong
	case app && step <= u.step:
		return appUsed
	}
	if app {
		u.step = step
	}
	u.codes = modelLock{}
	return ""
}

// outcome is an answer of the server as the model says it.
func (s signInReply) outcome() string {
	switch {
	case s.AuthenticationResult != nil:
		return modelTokens
	case s.ChallengeName != "":
		list := s.ChallengeParameters["MFAS_CAN_CHOOSE"] + s.ChallengeParameters["MFAS_CAN_SETUP"]
		return strings.TrimSpace(shown(s.ChallengeName, s.AvailableChallenges) + " " + list)
	}
	return s.text
}

// shown is a challenge with its choices, as outcome writes it.
func shown(name string, choices []string) string {
	if len(choices) == 0 {
		return name
	}
	return name + ` ["` + strings.Join(choices, `","`) + `"]`
}
