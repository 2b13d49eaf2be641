package ops

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/challenge"
	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/page"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/messages"
	"github.com/poolhouse/poolhouse/internal/service/tokens"
)

// SignIns are the operations by which users sign in, stay signed in, and revoke what a sign-in left behind.
//
// A sign-in is a walk from challenge to challenge: package challenge says where it goes, the files sign_in_*.go how each
// answer is proven. Every answer goes the same way. What takes long or asks others (exponentiations, functions) is done
// first, outside of any transaction. Then one transaction reads the user afresh, sees that nothing is locked and that the
// step was not passed before, compares, counts, and writes what follows: the next challenge, or the family of tokens.
// So attempts that come at once are evaluated one after the other, on however many nodes, and the answer to one that comes
// during a lock says nothing about the password. Tokens are signed after the commit.
type SignIns struct {
	Store    store.Store
	Messages *messages.Messages
	Tokens   *tokens.Tokens
	Chance   *chance.Source
	Decoys   *Decoys
	Sessions *page.Sealer // as that of SignUps
	// MaxFailures is how many passwords may be wrong in a row, however slowly, before the user's password is of no use until
	// it is set anew or an operator lifts the lock; 0: any number.
	MaxFailures int
	Hashing     *Hashing // nil: SRP verifiers
}

// Register puts the family into the registry.
func (s *SignIns) Register(r *dispatch.Registry) {
	dispatch.Handle(r, api.InitiateAuth, s.Initiate)
	dispatch.Handle(r, api.AdminInitiateAuth, s.AdminInitiate)
	dispatch.Handle(r, api.RespondToAuthChallenge, s.Respond)
	dispatch.Handle(r, api.AdminRespondToAuthChallenge, s.AdminRespond)
	dispatch.Handle(r, api.GetTokensFromRefreshToken, s.Refresh)
	dispatch.Handle(r, api.RevokeToken, s.Revoke)
}

// visit is one request of a sign-in, by whichever operation it comes.
type visit struct {
	c        *dispatch.Call
	admin    bool
	given    map[string]string // AuthParameters, or ChallengeResponses
	metadata map[string]string // ClientMetadata
	session  *secret.Text
	state    challenge.State // where the sign-in stands: what the session says, or its beginning
	fresh    bool            // the sign-in begins with this visit
}

// Initiate begins a sign-in, or renews tokens.
//
// Evidence: the reference page "InitiateAuth"; observed texts. The order of the checks is documented in part.
func (s *SignIns) Initiate(ctx context.Context, c *dispatch.Call, in *api.InitiateAuthInput) (*api.InitiateAuthOutput, error) {
	setOrigin(c, in.UserContextData)
	return s.begin(ctx, &visit{c: c, given: in.AuthParameters, metadata: in.ClientMetadata, session: in.Session, fresh: true}, in.AuthFlow)
}

// AdminInitiate is Initiate on behalf of an administrator.
//
// Evidence: the reference page "AdminInitiateAuth".
func (s *SignIns) AdminInitiate(ctx context.Context, c *dispatch.Call, in *api.AdminInitiateAuthInput) (*api.AdminInitiateAuthOutput, error) {
	out, err := s.begin(ctx, &visit{c: c, admin: true, given: in.AuthParameters, metadata: in.ClientMetadata, session: in.Session, fresh: true}, in.AuthFlow)
	return (*api.AdminInitiateAuthOutput)(out), err
}

// begin checks what all flows have in common.
func (s *SignIns) begin(ctx context.Context, v *visit, name string) (*api.InitiateAuthOutput, error) {
	v.state.Flow = challenge.FlowOf(name)
	if err := v.allowed(); err != nil {
		return nil, err
	}
	switch v.state.Flow {
	case challenge.Refresh:
		return s.renew(ctx, v)
	case challenge.UserPassword, challenge.AdminPassword:
		return s.byPassword(ctx, v)
	case challenge.UserSRP:
		return s.bySRP(ctx, v)
	case challenge.Custom:
		return s.byFunctions(ctx, v)
	case challenge.Choice:
		return s.byChoice(ctx, v)
	}
	return nil, fault.FlowNotSupported()
}

// allowed refuses flows that are not for the operation, or not for the client.
func (v *visit) allowed() error {
	f := v.state.Flow
	if f == challenge.AdminPassword && !v.admin || f == challenge.UserPassword && v.admin {
		return fault.FlowNotSupported()
	}
	if challenge.Allowed(v.c.Client, f) {
		return nil
	}
	switch f {
	case challenge.UserPassword:
		return fault.PasswordFlowOff()
	case challenge.AdminPassword:
		return fault.AdminFlowOff()
	case challenge.UserSRP:
		return fault.SRPFlowOff()
	case challenge.Custom:
		return fault.CustomFlowOff()
	case challenge.Choice:
		return fault.ChoiceFlowOff()
	case challenge.Refresh:
		return fault.RefreshFlowOff()
	}
	return fault.FlowNotSupported()
}

// need refuses a request that lacks one of the parameters; an empty one counts as absent.
func (v *visit) need(names ...string) error {
	for _, name := range names {
		if v.given[name] == "" {
			return fault.MissingParameter(name)
		}
	}
	return nil
}

// proveClient refuses a visit without the right secret hash. A hash for a client without a secret is wrong, too
// (unconfirmed).
func (v *visit) proveClient() error {
	hash, sent := v.given["SECRET_HASH"]
	if sent && hash != "" && len(v.c.Client.Secrets) == 0 && !v.c.Hosted {
		return fault.SecretHashWrong(v.c.Client.ID)
	}
	if hash == "" {
		return checkSecretHash(v.c, v.given["USERNAME"], nil)
	}
	text := secret.New(hash)
	return checkSecretHash(v.c, v.given["USERNAME"], &text)
}

// subject is whose attempts a visit counts as: the user's, also where the visit is that of nobody as the user can prove nothing.
func (s *SignIns) subject(v *visit, u *user.Record) string {
	if u == nil && v.state.Counts != "" {
		return v.state.Counts
	}
	return s.Decoys.subjectOf(v.c, u, v.state.Username)
}

// stands reports whether the visit answers a step, which then is passed once.
func (v *visit) stands() bool { return v.state.ID != "" }

// told is the ClientMetadata that functions get after a sign-in has begun: what it begins with is for others.
func (v *visit) told() map[string]string {
	if v.fresh {
		return nil
	}
	return v.metadata
}

// guest is whom a name stands for.
type guest struct {
	user     *user.Record         // nil: nobody
	known    bool                 // somebody has the name, even if user is nil
	password *credential.Password // nil: none
	locked   bool
	name     string
}

// find looks up whom a visit is about, and what is needed to check a password. To a password, a user who may never again
// use one does not exist.
func (s *SignIns) find(ctx context.Context, v *visit, byPassword bool) (g *guest, err error) {
	name := v.given["USERNAME"]
	err = s.Store.View(ctx, func(view store.View) error {
		g = &guest{name: name}
		if err := recall(view.Steps(), v); err != nil {
			return err
		}
		u, err := lookUp(view.Users(), v.c.Pool, name)
		if err != nil {
			return err
		}
		g.known = u != nil
		subject := s.Decoys.subjectOf(v.c, u, name)
		if g.password, err = password(view.Passwords(), v.c.Pool.ID, subject); err != nil {
			return err
		}
		if u != nil && !(byPassword && u.PasswordOff) {
			g.user = u
		}
		t, err := view.Tallies().Get(v.c.Pool.ID, subject, verify.SignIn)
		g.locked = s.locked(t, v.c.Now)
		return err
	})
	return g, err
}

// recall refuses a step that was passed, and completes the state of one that is too long for its session.
func recall(steps store.StepReader, v *visit) error {
	if !v.stands() {
		return nil
	}
	passed, err := steps.Passed(v.c.Pool.ID, v.state.ID)
	if err != nil {
		return err
	}
	if passed {
		return fault.SessionUsed()
	}
	if !v.state.Kept {
		return nil
	}
	kept, err := steps.Kept(v.c.Pool.ID, v.state.ID)
	if errors.Is(err, store.ErrNotFound) {
		return fault.SessionInvalid().Because(err)
	}
	if err != nil {
		return err
	}
	return v.state.Recall(kept)
}

// locked reports whether no password of the user is evaluated now.
func (s *SignIns) locked(t verify.Tally, now time.Time) bool {
	held, _ := t.Hold(verify.SignIn, s.MaxFailures, now)
	return held
}

// enter is the door of a new sign-in: it refuses whom the client may tell about, and asks the pool's PreAuthentication
// function.
func (s *SignIns) enter(ctx context.Context, v *visit, g *guest) error {
	if g.user == nil && !hidden(v.c) {
		return fault.UserNotFound()
	}
	if g.user != nil && !g.user.Enabled && !hidden(v.c) {
		return fault.UserDisabled()
	}
	if err := s.Messages.PreAuthentication(ctx, v.c, g.user, g.name, v.metadata); err != nil {
		return err
	}
	v.state.Username = g.name
	if g.user != nil {
		v.state.Sub, v.state.Username = g.user.Sub, g.user.Username
	}
	return nil
}

// chances is the randomness of a visit, drawn before its transactions.
type chances struct {
	tokens tokens.Draw
	step   string // the id of the next step
	code   draw
	long   secret.Text // a code of eight digits
}

func (s *SignIns) draw() chances {
	return chances{tokens: s.Tokens.Draw(), step: s.Chance.UUID(), code: draw{id: s.Chance.UUID(), code: secret.New(s.Chance.Code6())}, long: secret.New(s.Chance.Code8())}
}

// proven is what an answer came to, inside of its transaction.
type proven struct {
	refused error          // the fault of an answer that is not good; what was counted is committed all the same
	user    *user.Record   // as the answer left it, saved; nil: as it was
	names   []string       // what changed of the user, for the journal
	first   challenge.Name // the first factor that the answer proves, "" for another answer
	// confirmed says that the answer confirmed the user.
	confirmed bool
	then      *challenge.Step // what follows, where the answer itself says so
}

// proof evaluates the answer of a visit in the transaction that acts on it. It touches nothing but the store; u is nil for
// somebody who does not exist, of whom nothing is ever right.
type proof func(tx store.Tx, u *user.Record) (proven, error)

// offered is the next challenge as the client gets it.
type offered struct {
	state      challenge.State
	parameters map[string]string
	messages   []*notice.Message
	firsts     []challenge.Name // from which the user can choose
}

// advance evaluates an answer and goes on to what follows.
func (s *SignIns) advance(ctx context.Context, v *visit, prove proof) (*api.InitiateAuthOutput, error) {
	c, d := v.c, s.draw()
	signer, err := s.Tokens.Signer(ctx, c.Pool)
	if err != nil {
		return nil, err
	}
	var now *user.Record
	var refusal error
	var next challenge.State
	var facts *token.Facts
	var offer *offered
	var got proven
	var asks, hooked bool // functions decide what comes next, or learn of the end
	err = s.Store.Update(ctx, c.Scope(""), func(tx store.Tx) error {
		now, refusal, facts, offer, asks = nil, nil, nil, nil, false
		u, err := s.again(tx, v)
		if err != nil {
			return err
		}
		if refusal, err = s.unused(tx, v); refusal != nil || err != nil {
			return err
		}
		if got, err = prove(tx, u); err != nil || got.refused != nil {
			refusal = got.refused
			return err
		}
		if err := s.pass(tx, v); err != nil {
			return err
		}
		if len(got.names) > 0 {
			if err := tx.Journal().Add(c.Entry(c.Pool.ID, u.Sub, got.names...)); err != nil {
				return err
			}
		}
		now, next = cmp.Or(got.user, u), v.state.Pass()
		next.First = cmp.Or(got.first, next.First)
		f, err := s.factors(tx, c, now)
		if err != nil {
			return err
		}
		step := challenge.Next(&next, now.Status, f)
		if got.then != nil {
			step = *got.then
		}
		hooked = notice.EndsWithFunctions(c.Pool) || got.confirmed && c.Pool.Lambda.Function(notice.PostConfirmation) != ""
		switch {
		case step.Stuck:
			refusal = noSecondFactor(c)
			return nil
		case step.Name == challenge.Define:
			asks = true
			return nil
		case !step.Done():
			offer, refusal, err = s.offer(tx, v, now, next, step, d)
			if err != nil || refusal != nil || len(got.names) > 0 || len(offer.messages) == 0 {
				return err
			}
			return tx.Journal().Add(c.Entry(c.Pool.ID, now.Sub)) // a code is on its way
		case hooked:
			return nil
		}
		if facts, err = s.write(tx, v, now, d.tokens); err != nil || len(got.names) > 0 {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, now.Sub))
	})
	if err = cmp.Or(err, refusal); err != nil {
		return nil, err
	}
	if got.confirmed {
		if err := s.Messages.PostConfirmation(ctx, c, c.Pool, now, notice.SourceConfirmedSignUp, v.told()); err != nil {
			return nil, err
		}
	}
	changed := len(got.names) > 0
	switch {
	case offer != nil:
		return s.hand(ctx, c, now, offer)
	case asks:
		return s.define(ctx, v, &guest{user: now, name: v.state.Username}, next, d, changed)
	case hooked:
		return s.end(ctx, v, now, &next, signer, d, changed)
	}
	return issue(signer, facts)
}

// pass marks the step of a visit as passed, if it has one.
func (s *SignIns) pass(tx store.Tx, v *visit) error {
	if !v.stands() {
		return nil
	}
	return stale(tx.Steps().Pass(v.c.Pool.ID, v.state.ID, v.state.Expires))
}

// hand sends what belongs to a challenge and hands the challenge to the client. Before anything is proven, the time that sending
// takes must not tell who exists.
func (s *SignIns) hand(ctx context.Context, c *dispatch.Call, u *user.Record, o *offered) (*api.InitiateAuthOutput, error) {
	send := s.Messages.Flush
	if o.state.First == "" {
		send = func(ctx context.Context, c *dispatch.Call, _ *pool.Pool, u *user.Record, msgs ...*notice.Message) error {
			return tell(ctx, s.Messages, c, u, msgs...)
		}
	}
	if err := send(ctx, c, c.Pool, u, o.messages...); err != nil {
		return nil, err
	}
	return s.show(c, o)
}

// stale turns a step that somebody else has passed meanwhile into another run, which sees that.
func stale(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return store.ErrStale
	}
	return err
}

// again reads the user of a visit in its transaction, and locks it; nil for nobody.
func (s *SignIns) again(tx store.Tx, v *visit) (*user.Record, error) {
	if v.state.Sub == "" {
		return nil, nil
	}
	u, err := tx.Users().BySub(v.c.Pool.ID, v.state.Sub)
	if errors.Is(err, store.ErrNotFound) {
		return nil, missing(v.c).Because(err)
	}
	if err == nil && !u.Enabled && (v.state.First != "" || !hidden(v.c)) {
		return nil, fault.UserDisabled() // who has proven a first factor may know
	}
	return u, err
}

// missing is the fault of a user who does not exist.
func missing(c *dispatch.Call) *fault.Error {
	if hidden(c) {
		return fault.WrongPassword()
	}
	return fault.UserNotFound()
}

// unused refuses a step that was passed before.
func (s *SignIns) unused(tx store.Tx, v *visit) (refused, err error) {
	if !v.stands() {
		return nil, nil
	}
	passed, err := tx.Steps().Passed(v.c.Pool.ID, v.state.ID)
	if err == nil && passed {
		refused = fault.SessionUsed()
	}
	return refused, err
}

// noSecondFactor is the fault of a pool that demands a second factor of a user who can have none.
func noSecondFactor(c *dispatch.Call) error {
	if c.Spec.Lists(fault.MFAMethodNotFoundException) {
		return fault.NoSecondFactor()
	}
	return fault.NoSecondFactorAtStart()
}

// write writes what a completed sign-in leaves behind.
func (s *SignIns) write(tx store.Tx, v *visit, u *user.Record, d tokens.Draw) (*token.Facts, error) {
	c := v.c
	return s.Tokens.Begin(tx, tokens.SignIn{Pool: c.Pool, Client: c.Client, User: u, Origin: token.FromAPI, Scopes: []string{token.AdminScope}, Now: c.Now}, d)
}

// end completes a sign-in in a pool whose functions are told of it, or say what tokens hold. A fault of theirs refuses it.
// changed says that the answer changed the user.
//
// Evidence: the order of the two functions is unconfirmed.
func (s *SignIns) end(ctx context.Context, v *visit, u *user.Record, state *challenge.State, signer *tokens.Signer, d chances, changed bool) (*api.InitiateAuthOutput, error) {
	c, metadata := v.c, v.told()
	if err := s.Messages.PostAuthentication(ctx, c, u, metadata); err != nil {
		return nil, err
	}
	override, err := s.customize(ctx, c, u, []string{token.AdminScope}, sourceOfTokens(state), metadata)
	if err != nil {
		return nil, err
	}
	var facts *token.Facts
	err = s.Store.Update(ctx, c.Scope(""), func(tx store.Tx) error {
		now, err := tx.Users().BySub(c.Pool.ID, u.Sub)
		if errors.Is(err, store.ErrNotFound) {
			return missing(c).Because(err)
		}
		if err != nil {
			return err
		}
		if !now.Enabled {
			return fault.UserDisabled()
		}
		if err := unproven(state, now); err != nil {
			return err
		}
		if facts, err = s.write(tx, v, now, d.tokens); err != nil {
			return err
		}
		facts.Override = override
		entry := c.Entry(c.Pool.ID, now.Sub)
		if changed {
			entry.RequestID += "/tokens" // the answer itself has the entry of the request
		}
		return tx.Journal().Add(entry)
	})
	if err != nil {
		return nil, err
	}
	return issue(signer, facts)
}

// issue signs the tokens of a sign-in.
func issue(signer *tokens.Signer, facts *token.Facts) (*api.InitiateAuthOutput, error) {
	set, err := signer.Sign(facts)
	if err != nil {
		return nil, err
	}
	return &api.InitiateAuthOutput{AuthenticationResult: result(set, true), ChallengeParameters: map[string]string{}}, nil
}

// result is a set of tokens on the wire.
func result(set *tokens.Set, refresh bool) *api.AuthenticationResultType {
	life, kind := int(set.ExpiresIn), "Bearer"
	r := &api.AuthenticationResultType{AccessToken: &set.Access, IdToken: &set.ID, ExpiresIn: &life, TokenType: &kind}
	if refresh {
		r.RefreshToken = &set.Refresh
	}
	return r
}

// sessionSignIn is what sessions of sign-ins are sealed for.
const sessionSignIn = "session of a sign-in"

func sessionToken(c *dispatch.Call) page.Token {
	return page.Token{Operation: sessionSignIn, Scope: c.Pool.ID, Inputs: page.Hash(c.Client.ID)}
}

// seal writes the session of a step.
func (s *SignIns) seal(c *dispatch.Call, state *challenge.State) (string, error) {
	return sealStep(s.Sessions, c, state)
}

func sealStep(sessions *page.Sealer, c *dispatch.Call, state *challenge.State) (string, error) {
	text, err := state.Encode()
	if err != nil {
		return "", err
	}
	t := sessionToken(c)
	if state.At == challenge.MFASetup {
		t, text = setupToken, c.Pool.ID+" "+c.Client.ID+" "+text
	}
	t.After, t.Issued = text, c.Now
	return sessions.Seal(t), nil
}

// unseal reads a session. Its faults are those of a session that is of somebody else, altered, or too old.
func (s *SignIns) unseal(c *dispatch.Call, text string) (challenge.State, error) {
	plain, err := s.Sessions.Open(text, sessionToken(c), c.Now, sessionAges)
	if err != nil {
		poolID, clientID, setup, ok := openSetup(s.Sessions, text, c.Now)
		if ok && poolID == c.Pool.ID && clientID == c.Client.ID {
			plain, err = setup, nil
		}
	}
	if err != nil {
		return challenge.State{}, fault.SessionInvalid().Because(err)
	}
	state, err := challenge.Decode(plain)
	if err != nil {
		return challenge.State{}, err
	}
	if !c.Now.Before(state.Expires) {
		return *state, fault.SessionExpired()
	}
	return *state, nil
}

// step is the state that waits for the answer to a challenge.
func step(c *dispatch.Call, state challenge.State, name challenge.Name, id string) challenge.State {
	state.At, state.ID = name, id
	state.Expires = c.Now.Add(time.Duration(c.Client.SessionMinutes) * time.Minute)
	return state
}

// show is a challenge on the wire.
func (s *SignIns) show(c *dispatch.Call, o *offered) (*api.InitiateAuthOutput, error) {
	sealed, err := s.seal(c, &o.state)
	if err != nil {
		return nil, err
	}
	session, name := secret.New(sealed), string(o.state.At)
	return &api.InitiateAuthOutput{ChallengeName: &name, Session: &session, ChallengeParameters: o.parameters, AvailableChallenges: wireNames(o.firsts)}, nil
}

// offer makes the next challenge, in the transaction that led to it. refused is the fault of one that this server cannot make.
func (s *SignIns) offer(tx store.Tx, v *visit, u *user.Record, next challenge.State, what challenge.Step, d chances) (o *offered, refused, err error) {
	next.Choices = what.Choices
	o = &offered{state: step(v.c, next, what.Name, d.step)}
	switch what.Name {
	case challenge.NewPasswordRequired:
		o.parameters, err = challenge.NewPasswordParameters(v.c.Pool, v.c.Client, u)
	default:
		refused, err = s.offerFactor(tx, v, u, o, d)
	}
	if err != nil || refused != nil {
		return nil, refused, err
	}
	o.parameters["USER_ID_FOR_SRP"] = u.Username
	refused, err = keep(tx, v.c, &o.state)
	return o, refused, err
}

// keep stores what does not fit into the session of a step. More than there is room for is the fault of the pool's functions.
func keep(tx store.Tx, c *dispatch.Call, state *challenge.State) (refused, err error) {
	kept, err := state.Shed()
	if errors.Is(err, challenge.ErrSize) {
		return fault.TriggerUnrecognizable().Because(err), nil
	}
	if err != nil || kept == nil {
		return nil, err
	}
	return nil, tx.Steps().Keep(c.Pool.ID, state.ID, kept, state.Expires)
}

// customize asks what the pool's function wants in the tokens of a user.
func (s *SignIns) customize(ctx context.Context, c *dispatch.Call, u *user.Record, scopes []string, source string, metadata map[string]string) (*token.Override, error) {
	if c.Pool.Lambda.Function(pool.PreTokenGeneration) == "" {
		return nil, nil
	}
	var grants token.Grants
	err := s.Store.View(ctx, func(v store.View) error {
		groups, err := v.Groups().Of(c.Pool.ID, u.Sub)
		grants = token.GrantsOf(groups)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.Messages.PreTokenGeneration(ctx, c, u, notice.Tokens{Source: source, Groups: grants.Groups, Roles: grants.Roles,
		Preferred: grants.Preferred, Scopes: scopes, Metadata: metadata})
}

// sourceOfTokens is what a PreTokenGeneration function is told of a sign-in that is at its end.
func sourceOfTokens(state *challenge.State) string {
	switch {
	case state.Has(challenge.NewPasswordRequired):
		return notice.SourceTokensNewPass
	case state.Has(challenge.DevicePasswordVerifier):
		return notice.SourceTokensDevice
	}
	return notice.SourceTokens
}
