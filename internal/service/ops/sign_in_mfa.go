package ops

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/challenge"
	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/page"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/messages"
)

// This file is where second factors meet sign-ins: what a user can prove, what a challenge sends out, how its answer is
// evaluated.

// challenges are what asks for the second factors.
var challenges = map[user.Factor]challenge.Name{
	user.FactorSMS: challenge.SMSMFA, user.FactorTOTP: challenge.SoftwareTokenMFA, user.FactorEmail: challenge.EmailOTP,
}

// factors are what the choice of a second factor looks at. A factor that is on and cannot be asked for, such as SMS without a
// phone number, gives way to others that are on; when there is none it stays, and the sign-in fails.
func (s *SignIns) factors(tx store.Tx, c *dispatch.Call, u *user.Record) (challenge.Factors, error) {
	p := c.Pool
	f := challenge.Factors{Pool: p.MFA, Phone: u.Attributes[pool.PhoneNumber] != "", Email: u.Attributes[pool.Email] != "", Recovery: p.FirstRecovery()}
	if p.MFA == pool.MFAOff {
		return f, nil
	}
	app, err := softwareToken(tx.SoftwareTokens(), u)
	if err != nil {
		return f, err
	}
	f.TOTP = app.Verified()
	for _, x := range [...]struct {
		factor user.Factor
		active bool
	}{{user.FactorSMS, p.SMSFactor()}, {user.FactorTOTP, p.TOTPFactor()}, {user.FactorEmail, p.EmailFactor()}} {
		if x.active {
			f.Active = append(f.Active, challenges[x.factor])
		}
	}
	enabled := u.SecondFactors()
	usable := slices.DeleteFunc(slices.Clone(enabled), func(x user.Factor) bool {
		return x == user.FactorSMS && !(f.Phone && p.SendsSMS()) || x == user.FactorTOTP && !f.TOTP || x == user.FactorEmail && !f.Email
	})
	if len(usable) > 0 {
		enabled = usable
	}
	for _, x := range enabled {
		f.Enabled = append(f.Enabled, challenges[x])
		if x == u.MFA.Preferred {
			f.Preferred = challenges[x]
		}
	}
	return f, nil
}

// offerFactor makes the challenge of a second factor: it fills o's parameters and messages, in the transaction that led to it.
// refused is the fault of one that cannot be made.
func (s *SignIns) offerFactor(tx store.Tx, v *visit, u *user.Record, o *offered, d chances) (refused, err error) {
	switch o.state.At {
	case challenge.SMSMFA:
		return s.sendFactor(tx, v, u, o, pool.PhoneNumber, draw{d.code.code, d.code.id})
	case challenge.EmailOTP:
		if _, spent, err := spend(tx, v.c, u.Sub, verify.MailFactor); spent != nil || err != nil {
			return fault.FactorCodesExceeded(), err
		}
		return s.sendFactor(tx, v, u, o, pool.Email, draw{d.long, d.code.id})
	case challenge.SoftwareTokenMFA:
		app, err := softwareToken(tx.SoftwareTokens(), u)
		if err != nil || !app.Verified() {
			return noSecondFactor(v.c), err
		}
		o.parameters = map[string]string{}
		if app.Name != "" {
			o.parameters["FRIENDLY_DEVICE_NAME"] = app.Name
		}
		return nil, nil
	case challenge.SelectMFAType:
		return nil, o.list("MFAS_CAN_CHOOSE")
	case challenge.MFASetup:
		return nil, o.list("MFAS_CAN_SETUP")
	}
	return noSecondFactor(v.c), nil
}

// list shows the choices of a challenge: JSON in a text.
func (o *offered) list(name string) error {
	text, err := challenge.Choices(o.state.Choices)
	o.parameters = map[string]string{name: text}
	return err
}

// sendFactor sends a code, which is good for this step of this sign-in alone and as long as its session.
func (s *SignIns) sendFactor(tx store.Tx, v *visit, u *user.Record, o *offered, attribute string, d draw) (refused, err error) {
	to := u.Attributes[attribute]
	if to == "" || attribute == pool.PhoneNumber && !v.c.Pool.SendsSMS() {
		return noSecondFactor(v.c), nil
	}
	o.state.Code = challenge.NewCode(o.state.ID, to, d.code)
	want := messages.Want{ID: d.id, Source: notice.SourceAuthentication, Attribute: attribute, To: to, Code: d.code, ClientID: v.c.Client.ID,
		Expires: o.state.Expires, Metadata: v.told(), Later: o.state.First == "" && hidden(v.c)}
	msg, err := s.Messages.Prepare(v.c, v.c.Pool, u, want)
	if err != nil {
		return nil, err
	}
	medium := notice.MediumOf(attribute)
	o.messages = append(o.messages, msg)
	o.parameters = codeParameters(medium, notice.Mask(medium, to))
	return nil, s.Messages.Post(tx, msg)
}

// answeringFactor is answering for second factors.
func (s *SignIns) answeringFactor(name challenge.Name) (needs []string, evaluate evaluator) {
	switch name {
	case challenge.SMSMFA:
		return []string{"SMS_MFA_CODE"}, s.evaluating(s.codeProof("SMS_MFA_CODE", pool.PhoneNumber))
	case challenge.EmailOTP:
		return []string{"EMAIL_OTP_CODE"}, s.evaluating(s.codeProof("EMAIL_OTP_CODE", pool.Email))
	case challenge.SoftwareTokenMFA:
		return []string{"SOFTWARE_TOKEN_MFA_CODE"}, s.evaluating(s.appProof)
	case challenge.SelectMFAType:
		return []string{"ANSWER"}, s.evaluating(choiceProof)
	case challenge.MFASetup:
		return nil, s.evaluating(s.setupProof)
	}
	return nil, nil
}

// evaluating evaluates an answer of the user whom the session is of.
func (s *SignIns) evaluating(prove func(v *visit, tx store.Tx, u *user.Record) (proven, error)) evaluator {
	return func(ctx context.Context, v *visit) (*api.InitiateAuthOutput, error) {
		if _, err := s.whose(ctx, v, false); err != nil {
			return nil, err
		}
		return s.advance(ctx, v, func(tx store.Tx, u *user.Record) (proven, error) { return prove(v, tx, u) })
	}
}

// guess counts an answer by a code of a second factor. No code is looked at while a lock is on, be it for wrong codes or for
// wrong passwords. Wrong codes count over all sign-ins of the user, whatever they were sent for, and after so many in a row
// nothing is evaluated until an administrator sets the factors of the user. Those for a name that nobody has count as well, where
// the pool's functions ask nobody for a code.
func (s *SignIns) guess(v *visit, tx store.Tx, u *user.Record, evaluate func() (refused error, counts bool, err error)) (refused, err error) {
	c, take, subject := v.c, tx.Tallies().Take, s.subject(v, u)
	if u != nil {
		take = tx.Tallies().Get // who has locked the user has locked its tallies
	}
	words, err := take(c.Pool.ID, subject, verify.SignIn)
	if err != nil {
		return nil, err
	}
	codes, err := take(c.Pool.ID, subject, verify.SecondFactor)
	if err != nil {
		return nil, err
	}
	if held, _ := codes.Hold(verify.SecondFactor, 0, c.Now); held || s.locked(words, c.Now) {
		return fault.PasswordAttemptsExceeded(), nil
	}
	refused, counts, err := evaluate()
	switch {
	case err != nil:
		return nil, err
	case refused != nil && counts:
		return refused, tx.Tallies().Put(c.Pool.ID, subject, verify.SecondFactor, codes.Miss(c.Now))
	case refused == nil && codes != verify.Tally{}:
		return nil, tx.Tallies().Put(c.Pool.ID, subject, verify.SecondFactor, verify.Tally{})
	}
	return refused, nil
}

// codeProof evaluates a code that was sent to an address, which is verified by that.
//
// Evidence: observed texts; that a code for an address that has changed since counts as expired is unconfirmed.
func (s *SignIns) codeProof(parameter, attribute string) func(*visit, store.Tx, *user.Record) (proven, error) {
	return func(v *visit, tx store.Tx, u *user.Record) (proven, error) {
		refused, err := s.guess(v, tx, u, func() (error, bool, error) {
			switch {
			case u == nil || !v.state.Code.Matches(v.state.ID, secret.New(v.given[parameter])):
				return fault.FactorCodeWrong(), true, nil
			case v.state.Code.To != u.Attributes[attribute]:
				return fault.CodeExpired(), false, nil
			}
			return nil, false, nil
		})
		if err != nil || refused != nil {
			return proven{refused: refused}, err
		}
		return verifiedBy(v.c, tx, u, attribute)
	}
}

// verifiedBy marks an address as verified by a code. Where it would become an alias that somebody else has, it stays as it is:
// the user has proven the second factor all the same.
func verifiedBy(c *dispatch.Call, tx store.Tx, u *user.Record, attribute string) (proven, error) {
	flag := pool.EmailVerified
	if attribute == pool.PhoneNumber {
		flag = pool.PhoneNumberVerified
	}
	if u.Attributes[flag] == "true" {
		return proven{}, nil
	}
	after := u.Clone()
	after.Attributes[flag], after.Modified = "true", c.Now
	err := free(tx.Users(), c.Pool, u.Sub, after.Logins(c.Pool), fault.AliasExists)
	if fault.CodeOf(err) == fault.AliasExistsException {
		return proven{}, nil
	}
	if err == nil {
		err = tx.Users().Save(c.Pool, u, after)
	}
	if errors.Is(err, store.ErrConflict) {
		err = store.ErrStale // somebody took the alias since
	}
	return proven{user: after, names: []string{flag}}, err
}

// appProof evaluates a code of an authenticator app.
func (s *SignIns) appProof(v *visit, tx store.Tx, u *user.Record) (proven, error) {
	if u == nil {
		refused, err := s.guess(v, tx, nil, func() (error, bool, error) { return fault.SoftwareTokenWrong(), true, nil })
		return proven{refused: refused}, err
	}
	app, err := softwareToken(tx.SoftwareTokens(), u)
	if err != nil {
		return proven{}, err
	}
	if !app.Verified() {
		return proven{refused: fault.SoftwareTokenMissing()}, nil
	}
	refused, err := s.guess(v, tx, u, func() (error, bool, error) {
		next, verdict := app.Use(secret.New(v.given["SOFTWARE_TOKEN_MFA_CODE"]), v.c.Now)
		switch verdict {
		case credential.Wrong:
			return fault.SoftwareTokenWrong(), true, nil
		case credential.Replayed:
			return fault.SoftwareTokenUsed(), false, nil
		}
		return nil, false, tx.SoftwareTokens().Put(&next)
	})
	return proven{refused: refused}, err
}

// choiceProof goes on with the second factor that the user chose.
func choiceProof(v *visit, _ store.Tx, _ *user.Record) (proven, error) {
	chosen := challenge.Name(v.given["ANSWER"])
	if chosen == "EMAIL_MFA" { // as clients have called it
		chosen = challenge.EmailOTP
	}
	if !slices.Contains(v.state.Choices, chosen) {
		return proven{refused: fault.NotASecondFactor()}, nil
	}
	return proven{then: &challenge.Step{Name: chosen}}, nil
}

// setupProof ends the set-up of a second factor: an authenticator app whose first code was right, or an e-mail address, to which
// a code goes.
//
// Evidence: the reference of RespondToAuthChallenge, which goes before the guide's list on whether the code of an app is asked
// for once more.
func (s *SignIns) setupProof(v *visit, tx store.Tx, u *user.Record) (proven, error) {
	app, err := softwareToken(tx.SoftwareTokens(), u)
	if err != nil {
		return proven{}, err
	}
	if setup := v.state.Setup; setup != nil && setup.Done && app.Verified() && setup.Of(app.Key) {
		return proven{}, nil
	}
	address := v.given["EMAIL"]
	if address == "" {
		address = v.given["email"]
	}
	if address == "" || !slices.Contains(v.state.Choices, challenge.EmailOTP) || u.Attributes[pool.Email] != "" || hasFactor(u, app) {
		return proven{refused: fault.SessionInvalid()}, nil
	}
	plan, err := user.Apply(v.c.Pool.Accepting([]string{pool.Email}), u, []user.Value{{Name: pool.Email, Text: &address}}, v.c.Now)
	if err != nil {
		return proven{}, err
	}
	err = tx.Users().Save(v.c.Pool, u, plan.After)
	if taken, ok := errors.AsType[*store.Conflict](err); ok {
		return proven{}, fault.AliasExists(user.AttributeOf(taken.Login.Space)).Because(err)
	}
	return proven{user: plan.After, names: []string{pool.Email}, then: &challenge.Step{Name: challenge.EmailOTP}}, err
}

// hasFactor reports whether a user has got a second factor since a set-up began, which then is of no use any more.
func hasFactor(u *user.Record, app *credential.SoftwareToken) bool {
	return app.Verified() || len(u.SecondFactors()) > 0
}

// setupToken is what sessions of set-ups are sealed for: they name their client, since they travel to operations that name none.
var setupToken = page.Token{Operation: "session of a set-up"}

// openSetup reads the session of a set-up. It may be too old, or passed.
func openSetup(sessions *page.Sealer, text string, now time.Time) (poolID, clientID, state string, ok bool) {
	plain, err := sessions.Open(text, setupToken, now, sessionAges)
	if err != nil {
		return "", "", "", false
	}
	parts := strings.SplitN(plain, " ", 3)
	if len(parts) != 3 {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}
