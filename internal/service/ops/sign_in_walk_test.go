package ops_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/srpclient"
	"github.com/poolhouse/poolhouse/internal/kit/totp"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// TestWalk walks through sign-ins at random, beside a model that says what must come back: by a password, by the functions of the pool, by
// a first factor of the user's choice; pools with all kinds of second factors, users with some of them, right, wrong, late and
// repeated answers, in the name of others and to other challenges, locks, users who are disabled meanwhile, and tokens that are
// renewed and revoked. POOLHOUSE_TEST_WALKS says how many walks, POOLHOUSE_TEST_SEED repeats
// those of a seed.
func TestWalk(t *testing.T) {
	t.Parallel()
	const length = 60
	walks, seed := number(t, "POOLHOUSE_TEST_WALKS", 16), number(t, "POOLHOUSE_TEST_SEED", rand.Uint64())
	for name, s := range openStores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Logf("POOLHOUSE_TEST_SEED=%d walks the same way again", seed)
			seen := map[string]int{}
			for i := range walks {
				walkOnce(t, s, rand.New(rand.NewPCG(seed, i)), length, seen)
				if t.Failed() {
					t.Fatalf("walk %d of seed %d", i, seed)
				}
			}
			t.Logf("%d walks: %v", walks, seen)
		})
	}
}

// number reads a number from the environment.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s is %q, which is no number", name, text)
	}
	return n
}

// walker walks through one pool.
type walker struct {
	*world
	rand    *rand.Rand
	pool    modelPool
	users   []*modelUser
	visits  []*visitor
	tickets []*ticket
	heard   []string // the history that the functions of the last custom sign-in were told
	lines   []string // what was done, for a failure
	seen    map[string]int
}

// visitor is a visit with what its user holds.
type visitor struct {
	modelVisit
	session  string
	code     string // that was sent
	exchange *srpclient.Client
	reply    signInReply
}

// ticket is what a sign-in ended with.
type ticket struct {
	user    *modelUser
	refresh string
	revoked bool
}

func walkOnce(t *testing.T, s store.Store, r *rand.Rand, length int, seen map[string]int) {
	t.Helper()
	k := &walker{rand: r, seen: seen}
	k.pool = modelPool{mfa: one(r, "OFF", "OPTIONAL", "OPTIONAL", "ON", "ON"), sms: k.maybe(2), totp: k.maybe(2), email: k.maybe(2), hidden: k.maybe(2),
		recovery: one(r, "", "SMS_MFA", "EMAIL_OTP")}
	if !k.pool.sms && !k.pool.email {
		k.pool.totp = true
	}
	k.pool.factors = []string{pool.FactorPassword}
	if k.pool.mfa != "ON" && k.maybe(2) { // which codes cannot go with
		k.pool.factors = append(k.pool.factors, pool.FactorEmailOTP)
		if k.pool.sms {
			k.pool.factors = append(k.pool.factors, pool.FactorSmsOTP)
		}
	}
	k.pool.functions = modelFunctions{srp: !k.maybe(4), rounds: r.IntN(4), limit: 1 + r.IntN(3), factor: one(r, "", "", "SMS_MFA", "SOFTWARE_TOKEN_MFA", "EMAIL_OTP"), astray: k.maybe(8)}
	k.world = newWorld(t, s, k.settings)
	k.functions()
	k.client(clientOf(allFlows, func(c *pool.Client) {
		if k.pool.hidden {
			hiding(c)
		}
	}))
	for i := range 3 {
		k.users = append(k.users, k.somebody(fmt.Sprintf("u%d", i)))
	}
	k.users = append(k.users, &modelUser{name: "nobody", modelTries: &modelTries{}, enabled: true})
	actions := []func(){k.begin, k.begin, k.begin, k.beginCustom, k.beginChoice, k.answer, k.answer, k.answer, k.answer, k.answer, k.answer, k.answer, k.wait, k.refresh, k.revoke, k.enable}
	for range length {
		one(r, actions...)()
		if t.Failed() {
			return
		}
	}
}

// one draws one of several.
func one[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// maybe is true once in n times.
func (k *walker) maybe(n int) bool { return k.rand.IntN(n) == 0 }

// settings are those of the model's pool.
func (k *walker) settings(s *pool.Settings) {
	both(mfaPool, customPool)(s)
	s.MFA, s.TOTP, s.FirstFactors = k.pool.mfa, new(k.pool.totp), k.pool.factors
	if !k.pool.sms {
		s.Sms, s.AutoVerified = nil, []string{pool.Email}
	}
	if k.pool.email {
		emailToo(s)
	}
	s.Recovery = []pool.RecoveryMechanism{{Priority: 1, Name: map[string]string{"": "admin_only", "SMS_MFA": "verified_phone_number", "EMAIL_OTP": "verified_email"}[k.pool.recovery]}}
}

// somebody makes a user, in the store and in the model.
func (k *walker) somebody(name string) *modelUser {
	u := &modelUser{name: name, modelTries: &modelTries{}, exists: true, enabled: true, password: rightPassword, phone: k.maybe(2), email: k.maybe(2), app: k.maybe(2), on: map[string]bool{},
		status: one(k.rand, "confirmed", "confirmed", "confirmed", "confirmed", "confirmed", "temporary", "temporary", "temporary", "unconfirmed", "reset")}
	attributes := map[string]string{"name": "N"}
	if u.phone {
		attributes[pool.PhoneNumber] = fmt.Sprintf("+1555000%04d", k.rand.IntN(10_000))
	}
	if u.email {
		attributes[pool.Email] = name + "@x.io"
	}
	var m user.MFA
	for _, f := range []struct {
		factor    user.Factor
		challenge string
	}{{user.FactorSMS, "SMS_MFA"}, {user.FactorTOTP, "SOFTWARE_TOKEN_MFA"}, {user.FactorEmail, "EMAIL_OTP"}} {
		if k.maybe(3) {
			m.Set(f.factor, true)
			u.on[f.challenge] = true
			if k.maybe(2) {
				m.Preferred, u.preferred = f.factor, f.challenge
			}
		}
	}
	if u.status != "temporary" && k.maybe(4) {
		u.password = ""
	}
	record := k.addUser(name, attributes, factorsOf(m), func(r *user.Record) {
		switch u.status {
		case "temporary":
			temporary(r)
		case "unconfirmed":
			r.Status = user.Unconfirmed
		case "reset":
			r.Status = user.ResetRequired
		}
	})
	if u.password != "" {
		k.storePassword(record, u.password)
	}
	if u.app {
		u.key = []byte("the key of the app of " + name + " 0123456789")
		k.update(func(tx store.Tx) error {
			return tx.SoftwareTokens().Put(&credential.SoftwareToken{PoolID: record.PoolID, Sub: record.Sub, Key: u.key})
		})
	}
	return u
}

// expect compares what came with what must, and says the whole way there otherwise.
func (k *walker) expect(what, got, wanted string) {
	k.Helper()
	k.lines = append(k.lines, fmt.Sprintf("%s  %s: %s", k.clock.Now().Sub(start), what, wanted))
	name, _, _ := strings.Cut(strings.TrimPrefix(wanted, "NotAuthorizedException: "), " [")
	k.seen[name]++
	if got == wanted {
		return
	}
	k.Errorf("%s: got %s, wanted %s\npool: %+v\nthe way there:\n%s", what, got, wanted, k.pool, strings.Join(k.lines, "\n"))
	for _, u := range k.users {
		k.Logf("%+v", *u)
	}
}

func (k *walker) describe(u *modelUser, what string) string { return u.name + ", " + what }

// wait lets time pass.
func (k *walker) wait() {
	k.clock.Advance(one(k.rand, 500*time.Millisecond, time.Second, 2*time.Second, 10*time.Second, 31*time.Second, time.Minute, 4*time.Minute, 16*time.Minute))
}

// word draws a password for a user.
func (k *walker) word(u *modelUser) (password string, right bool) {
	if k.maybe(4) || !u.exists || u.password == "" {
		return "Wr0ng-" + strconv.Itoa(k.rand.IntN(1000)) + "!", false
	}
	return u.password, true
}

// begin begins a sign-in.
func (k *walker) begin() {
	u := one(k.rand, k.users...)
	now := k.clock.Now()
	if k.maybe(5) {
		k.beginExchange(u)
		return
	}
	password, right := k.word(u)
	if k.maybe(12) { // somebody guesses
		for range 5 {
			u.guess(k)
		}
	}
	flow := one(k.rand, "USER_PASSWORD_AUTH", "USER_PASSWORD_AUTH", "ADMIN_USER_PASSWORD_AUTH")
	reply := k.world.begin(flow, map[string]string{"USERNAME": u.name, "PASSWORD": password})
	wanted := u.door(&k.pool)
	if wanted == "" {
		wanted = u.typed(&k.pool, right, now)
	}
	what := k.describe(u, fmt.Sprintf("%s with a password that is right: %t", flow, right))
	if wanted != "" {
		k.expect(what, reply.outcome(), wanted)
		return
	}
	k.follow(what, modelVisit{user: u, proven: true}, reply, flow == "USER_PASSWORD_AUTH")
}

// guess is a wrong password, by which locks come about.
func (u *modelUser) guess(k *walker) {
	wanted := u.door(&k.pool)
	if wanted == "" {
		wanted = u.typed(&k.pool, false, k.clock.Now())
	}
	k.expect(k.describe(u, "a guess"), k.byPassword(u.name, "Wr0ng-guess!").outcome(), wanted)
}

// beginExchange begins a sign-in by SRP.
func (k *walker) beginExchange(u *modelUser) {
	c := srpclient.New(chance.System().Bytes(32))
	reply := k.world.begin("USER_SRP_AUTH", map[string]string{"USERNAME": u.name, "SRP_A": c.Public})
	what := k.describe(u, "USER_SRP_AUTH")
	if wanted := u.door(&k.pool); wanted != "" {
		k.expect(what, reply.outcome(), wanted)
		return
	}
	k.arrive(what, modelVisit{user: u, at: "PASSWORD_VERIFIER"}, reply, false, c)
}

// follow goes on after a right answer: there is another visit, or there are tokens. atStart says that InitiateAuth was called, whose
// fault is another one.
func (k *walker) follow(what string, from modelVisit, reply signInReply, atStart bool) {
	k.Helper()
	if from.flow == "CUSTOM_AUTH" && from.at != "MFA_SETUP" && from.at != "CUSTOM_CHALLENGE" {
		from.history = append(slices.Clone(from.history), from.at+"+")
	}
	var told bool
	from.at, from.choices, told = from.then(&k.pool, atStart)
	k.arrive(what, from, reply, atStart, nil)
	if told {
		k.listen(what, from.history)
	}
}

// arrive compares a reply with the challenge that must come, a second factor or one of the pool's own, and remembers where the sign-in
// stands.
func (k *walker) arrive(what string, next modelVisit, reply signInReply, atStart bool, c *srpclient.Client) {
	k.Helper()
	outcome := next.at
	if next.at = next.user.ask(&k.pool, outcome, k.clock.Now()); next.at != outcome {
		if atStart && next.at == noSuchMethod {
			next.at = invalid(noMethod)
		}
		next.choices = nil
	}
	k.stand(what, next, reply, c)
}

// stand compares a reply with the challenge that must come, and remembers where the sign-in stands.
func (k *walker) stand(what string, next modelVisit, reply signInReply, c *srpclient.Client) {
	k.Helper()
	k.expect(what, reply.outcome(), shown(next.at, next.choices))
	if k.Failed() {
		return
	}
	switch {
	case reply.AuthenticationResult != nil:
		k.tickets = append(k.tickets, &ticket{user: next.user, refresh: reply.AuthenticationResult.RefreshToken})
	case reply.ChallengeName != "":
		if reply.ChallengeParameters["CODE_DELIVERY_DESTINATION"] != "" && k.pool.hidden && !next.proven {
			k.work() // which sends what the request did not, so that nobody can tell by its time
		}
		next.expires, next.changed, next.passed = k.clock.Now().Add(3*time.Minute), next.user.changed, false
		v := &visitor{modelVisit: next, session: reply.Session, code: k.code(), exchange: c, reply: reply}
		if next.at == "SMS_MFA" || next.at == "SMS_OTP" {
			v.code = k.texted()
		}
		k.visits = append(k.visits, v)
	}
}

// answer answers one of the challenges that were asked, mostly a new one.
func (k *walker) answer() {
	if len(k.visits) == 0 {
		return
	}
	v := k.visits[len(k.visits)-1-min(k.rand.IntN(len(k.visits)), k.rand.IntN(len(k.visits)))]
	if !k.maybe(4) {
		v = k.visits[len(k.visits)-1]
	}
	switch {
	case v.at == "PASSWORD_VERIFIER":
		k.prove(v)
	case k.maybe(10):
		k.stray(v)
	case v.at == "SELECT_CHALLENGE":
		k.chooseFirst(v)
	case v.at == "PASSWORD", v.at == "PASSWORD_SRP":
		k.giveFirst(v)
	case v.at == "CUSTOM_CHALLENGE":
		k.riddle(v)
	case v.at == "NEW_PASSWORD_REQUIRED":
		k.newPassword(v)
	case v.at == "SELECT_MFA_TYPE":
		k.choose(v)
	case v.at == "MFA_SETUP":
		k.setUp(v)
	default:
		k.showCode(v)
	}
}

// respond answers a challenge in the name of its user.
func (k *walker) respond(v *visitor, more map[string]string) signInReply {
	k.Helper()
	more["USERNAME"] = v.user.name
	return k.world.answer(v.at, v.session, more)
}

// prove completes an exchange by SRP.
func (k *walker) prove(v *visitor) {
	u, now := v.user, k.clock.Now()
	password, right := k.word(u)
	reply := k.world.answer("PASSWORD_VERIFIER", v.session, k.world.prove(v.exchange, v.reply, password))
	what := k.describe(u, fmt.Sprintf("PASSWORD_VERIFIER with a password that is right: %t", right))
	wanted := v.old(&k.pool, now)
	if wanted == "" {
		wanted = u.typed(&k.pool, right && u.changed == v.changed, now)
	}
	if wanted != "" {
		k.expect(what, reply.outcome(), wanted)
		return
	}
	v.passed, v.proven = true, true
	k.follow(what, v.modelVisit, reply, false)
}

// stray answers to another challenge than the one that was asked, or in the name of somebody else.
func (k *walker) stray(v *visitor) {
	other := k.users[0]
	if other.name == v.user.name {
		other = k.users[1]
	}
	given := map[string]string{"USERNAME": v.user.name, "NEW_PASSWORD": "Another-1!", "SMS_MFA_CODE": "000000", "EMAIL_OTP_CODE": "00000000", "SOFTWARE_TOKEN_MFA_CODE": "000000", "ANSWER": "SMS_MFA",
		"SMS_OTP_CODE": "00000000", "PASSWORD": rightPassword, "SRP_A": "2"}
	late := !k.clock.Now().Before(v.expires)
	wanted := badSession
	if k.maybe(2) {
		given["USERNAME"] = other.name
		switch {
		case late:
			wanted = oldSession
		case v.passed:
			wanted = usedSession
		}
		k.expect(k.describe(v.user, v.at+" in the name of "+other.name), k.world.answer(v.at, v.session, given).outcome(), wanted)
		return
	}
	name := "SMS_MFA"
	if v.at == name {
		name = "EMAIL_OTP"
	}
	if late {
		wanted = oldSession
	}
	k.expect(k.describe(v.user, name+" where "+v.at+" was asked"), k.world.answer(name, v.session, given).outcome(), wanted)
}

// newPassword chooses a password.
func (k *walker) newPassword(v *visitor) {
	u, now := v.user, k.clock.Now()
	password := fmt.Sprintf("Chosen-%d!", u.changed+1)
	if k.maybe(4) {
		password = "Short-1"
	}
	reply := k.respond(v, map[string]string{"NEW_PASSWORD": password})
	what := k.describe(u, "NEW_PASSWORD_REQUIRED with "+password)
	wanted := v.old(&k.pool, now)
	switch {
	case wanted == "" && password == "Short-1", wanted == isDisabled && password == "Short-1":
		wanted = tooShort
	case wanted == "" && u.status != "temporary":
		wanted = badSession
	}
	if wanted != "" {
		k.expect(what, reply.outcome(), wanted)
		return
	}
	v.passed, u.password, u.status = true, password, "confirmed"
	u.changed++
	u.words = modelLock{} // the password that was guessed is gone
	k.follow(what, v.modelVisit, reply, false)
}

// showCode answers by a code: the right one, a wrong one, or one of an app that was used before.
func (k *walker) showCode(v *visitor) {
	u, now := v.user, k.clock.Now()
	code, step, right, first := v.code, totp.Step(0), true, v.flow == "USER_AUTH" && !v.proven
	if v.at == "SOFTWARE_TOKEN_MFA" {
		step = totp.StepAt(now) + one[totp.Step](k.rand, -1, 0, 0, 1)
		code = totp.Code(u.key, step)
	}
	switch {
	case !u.exists:
		code, right = "00000000", false
	case k.maybe(3):
		code, right = wrong(code), false
	}
	reply := k.respond(v, map[string]string{"SMS_MFA_CODE": code, "EMAIL_OTP_CODE": code, "SOFTWARE_TOKEN_MFA_CODE": code, "SMS_OTP_CODE": code})
	what := k.describe(u, fmt.Sprintf("%s with a code that is right: %t", v.at, right))
	wanted := v.old(&k.pool, now)
	switch {
	case wanted == "" && first:
		wanted = v.firstCode(&k.pool, right, now)
	case wanted == "":
		wanted = v.modelVisit.code(right, step, now)
	}
	if wanted != "" {
		k.expect(what, reply.outcome(), wanted)
		return
	}
	v.passed, v.proven = true, v.proven || first
	k.follow(what, v.modelVisit, reply, false)
}

// choose chooses a second factor.
func (k *walker) choose(v *visitor) {
	u := v.user
	choice := one(k.rand, v.choices...)
	if k.maybe(4) {
		choice = "WEB_AUTHN"
	}
	reply := k.respond(v, map[string]string{"ANSWER": choice})
	what := k.describe(u, "SELECT_MFA_TYPE with "+choice)
	wanted := v.old(&k.pool, k.clock.Now())
	if wanted == "" && choice == "WEB_AUTHN" {
		wanted = badChoice
	}
	if wanted != "" {
		k.expect(what, reply.outcome(), wanted)
		return
	}
	v.passed = true
	next := v.modelVisit
	next.at, next.choices = choice, nil
	k.arrive(what, next, reply, false, nil)
}

// setUp sets a second factor up: an app, in three requests, or an address.
func (k *walker) setUp(v *visitor) {
	u, now := v.user, k.clock.Now()
	app, mail := false, false
	for _, c := range v.choices {
		app, mail = app || c == "SOFTWARE_TOKEN_MFA", mail || c == "EMAIL_OTP"
	}
	has := u.app || u.on["SMS_MFA"] || u.on["SOFTWARE_TOKEN_MFA"] || u.on["EMAIL_OTP"]
	wanted := v.old(&k.pool, now)
	switch {
	case app && k.maybe(2):
		answer, session := k.setup("AssociateSoftwareToken", v.session, "")
		if wanted == usedSession && !u.enabled {
			wanted = isDisabled // the user is looked at before the step
		}
		if wanted == "" && has {
			wanted = badSession
		}
		if wanted != "" {
			k.expect(k.describe(u, "AssociateSoftwareToken"), answer, wanted)
			return
		}
		v.passed = true
		key := secretOf(k.world, answer)
		answer, session = k.setup("VerifySoftwareToken", session, userCode(k.appCode(key, 0)))
		k.expect(k.describe(u, "VerifySoftwareToken"), answer[:min(len(answer), 19)], `{"Status":"SUCCESS"`)
		u.app, u.key, u.step, u.on["SOFTWARE_TOKEN_MFA"] = true, key, totp.StepAt(now), true
		next := &visitor{modelVisit: v.modelVisit, session: session}
		next.passed, next.expires = false, now.Add(3*time.Minute)
		k.follow(k.describe(u, "MFA_SETUP with the session of an app"), next.modelVisit, k.respond(next, map[string]string{}), false)
	case mail && k.maybe(2):
		reply := k.respond(v, map[string]string{"EMAIL": u.name + "@x.io"})
		if wanted == "" && (u.email || has) {
			wanted = badSession
		}
		if wanted != "" {
			k.expect(k.describe(u, "MFA_SETUP with an address"), reply.outcome(), wanted)
			return
		}
		v.passed, u.email = true, true
		next := v.modelVisit
		next.at, next.choices = "EMAIL_OTP", nil
		k.arrive(k.describe(u, "MFA_SETUP with an address"), next, reply, false, nil)
	default:
		if wanted == "" {
			wanted = badSession
		}
		k.expect(k.describe(u, "MFA_SETUP with nothing"), k.respond(v, map[string]string{}).outcome(), wanted)
	}
}

// refresh renews the tokens of a sign-in.
func (k *walker) refresh() {
	if len(k.tickets) == 0 {
		return
	}
	t := one(k.rand, k.tickets...)
	wanted := modelTokens
	switch {
	case t.revoked:
		wanted = refreshRevoked
	case !t.user.enabled:
		wanted = isDisabled
	case t.user.status == "reset":
		wanted = mustReset
	}
	k.expect(k.describe(t.user, "REFRESH_TOKEN_AUTH"), k.world.begin("REFRESH_TOKEN_AUTH", map[string]string{"REFRESH_TOKEN": t.refresh}).outcome(), wanted)
}

// revoke ends one sign-in, or all of a user.
func (k *walker) revoke() {
	if len(k.tickets) == 0 || k.maybe(2) {
		return
	}
	t := one(k.rand, k.tickets...)
	if k.maybe(2) {
		t.revoked = true
		k.expect(k.describe(t.user, "RevokeToken"), k.call("RevokeToken", `{"ClientId":"`+k.clientID+`","Token":"`+t.refresh+`"}`), "{}")
		return
	}
	k.end(t.user)
	k.expect(k.describe(t.user, "AdminUserGlobalSignOut"), k.call("AdminUserGlobalSignOut", `{"UserPoolId":"$pool","Username":"`+t.user.name+`"}`), "{}")
}

// end is that all sign-ins of a user are ended.
func (k *walker) end(u *modelUser) {
	for _, t := range k.tickets {
		t.revoked = t.revoked || t.user == u
	}
}

// enable disables a user, or enables one again.
func (k *walker) enable() {
	u := k.users[k.rand.IntN(3)]
	if u.enabled && k.maybe(2) {
		return
	}
	operation := "AdminEnableUser"
	if u.enabled = !u.enabled; !u.enabled {
		operation = "AdminDisableUser"
		k.end(u)
	}
	k.expect(k.describe(u, operation), k.call(operation, `{"UserPoolId":"$pool","Username":"`+u.name+`"}`), "{}")
}
