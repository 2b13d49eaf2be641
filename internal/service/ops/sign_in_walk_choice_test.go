package ops_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/srpclient"
)

// This file is the part of TestWalk in which the pool's functions, or the user, choose what a sign-in asks for.

// functions lets those of the pool run. Some of them want to remember more than a session has room for.
func (k *walker) functions() {
	more := ""
	if k.maybe(3) {
		more = `,"more":"` + strings.Repeat("x", 2000) + `"`
	}
	k.play(script{more: more, next: func(history string) string {
		k.heard = strings.Fields(history)
		return k.pool.functions.says(k.heard)
	}})
}

// beginCustom begins a sign-in by the pool's functions, some with an exchange by SRP.
func (k *walker) beginCustom() {
	u, srp := one(k.rand, k.users...), k.maybe(2)
	given, c, from := map[string]string{"USERNAME": u.name}, (*srpclient.Client)(nil), modelVisit{user: u, at: "CUSTOM_AUTH", flow: "CUSTOM_AUTH"}
	if srp {
		c = srpclient.New(chance.System().Bytes(32))
		given["CHALLENGE_NAME"], given["SRP_A"], from.history = "SRP_A", c.Public, []string{"SRP_A+"}
	}
	reply := k.world.begin("CUSTOM_AUTH", given)
	what := k.describe(u, fmt.Sprintf("CUSTOM_AUTH with SRP: %t", srp))
	wanted := u.door(&k.pool)
	if wanted == "" && !srp && !k.pool.hidden && u.status == "unconfirmed" {
		wanted = mustConfirm
	}
	if wanted != "" {
		k.expect(what, reply.outcome(), wanted)
		return
	}
	from.at, _, _ = from.then(&k.pool, true)
	k.arrive(what, from, reply, true, c)
	k.listen(what, from.history)
}

// listen compares what the functions were told with the history that there was.
func (k *walker) listen(what string, history []string) {
	k.Helper()
	if !slices.Equal(k.heard, history) {
		k.Errorf("%s: the functions were told %q, and had to be told %q", what, k.heard, history)
	}
}

// riddle answers a challenge of the pool's functions. Right or wrong, it is answered once.
func (k *walker) riddle(v *visitor) {
	right := !k.maybe(3)
	answer := map[bool]string{true: "sesame", false: one(k.rand, "wrong", "")}[right]
	reply := k.respond(v, map[string]string{"ANSWER": answer})
	what := k.describe(v.user, fmt.Sprintf("CUSTOM_CHALLENGE that is solved: %t", right))
	if wanted := v.old(&k.pool, k.clock.Now()); wanted != "" {
		k.expect(what, reply.outcome(), wanted)
		return
	}
	v.passed = true
	from := v.modelVisit
	from.history = append(slices.Clone(v.history), fmt.Sprintf("CUSTOM_CHALLENGE%s[m%d]", map[bool]string{true: "+", false: "-"}[right], len(v.history)))
	k.follow(what, from, reply, false)
}

// firstFactor draws a first factor that a sign-in prefers or chooses, or something that is none.
func (k *walker) firstFactor() string {
	return one(k.rand, "PASSWORD", "PASSWORD", "PASSWORD_SRP", "EMAIL_OTP", "EMAIL_OTP", "SMS_OTP", "SMS_OTP", "WEB_AUTHN")
}

// beginChoice begins a sign-in whose first factor the user chooses, or says at once.
func (k *walker) beginChoice() {
	u, wanted := one(k.rand, k.users...), ""
	if !k.maybe(3) {
		wanted = k.firstFactor()
	}
	given, right, c := k.withFactor(u, wanted)
	if given["USERNAME"] = u.name; wanted != "" {
		given["PREFERRED_CHALLENGE"] = wanted
	}
	reply := k.world.begin("USER_AUTH", given)
	what := k.describe(u, fmt.Sprintf("USER_AUTH, prefers %q with a password that is right: %t", wanted, right))
	if refused := u.door(&k.pool); refused != "" {
		k.expect(what, reply.outcome(), refused)
		return
	}
	if len(u.choices(&k.pool)) == 0 {
		if !k.pool.hidden {
			k.expect(what, reply.outcome(), incorrect)
			return
		}
		u, right = u.nobody(), false
	}
	if !slices.Contains(u.choices(&k.pool), wanted) {
		wanted = "SELECT_CHALLENGE"
	}
	k.chosen(what, modelVisit{user: u, at: "USER_AUTH", flow: "USER_AUTH"}, wanted, given, right, reply, true, c)
}

// withFactor draws what is sent beside the choice of a first factor: a password perhaps, which is right or not, or a public value.
func (k *walker) withFactor(u *modelUser, factor string) (given map[string]string, right bool, c *srpclient.Client) {
	given = map[string]string{}
	switch {
	case factor == "PASSWORD" && k.maybe(2):
		given["PASSWORD"], right = k.word(u)
	case factor == "PASSWORD_SRP":
		c = srpclient.New(chance.System().Bytes(32))
		given["SRP_A"] = c.Public
	}
	return given, right, c
}

// chosen goes on with a first factor. It reports whether the step from which it was chosen is passed.
func (k *walker) chosen(what string, from modelVisit, factor string, given map[string]string, right bool, reply signInReply, atStart bool, c *srpclient.Client) bool {
	k.Helper()
	u, now := from.user, k.clock.Now()
	if factor == "PASSWORD" && given["PASSWORD"] != "" {
		if wanted := u.typed(&k.pool, right, now); wanted != "" {
			k.expect(what, reply.outcome(), wanted)
			return false
		}
		from.proven = true
		k.follow(what, from, reply, atStart)
		return true
	}
	if factor == "PASSWORD_SRP" {
		factor = "PASSWORD_VERIFIER"
	}
	wanted := from.shut(&k.pool)
	if wanted == "" {
		wanted = u.askFirst(factor, now)
	}
	if wanted != factor {
		k.expect(what, reply.outcome(), wanted)
		return false
	}
	if from.choices == nil {
		from.choices = u.choices(&k.pool)
	}
	from.at = factor
	k.stand(what, from, reply, c)
	return true
}

// chooseFirst chooses a first factor, by SELECT_CHALLENGE or by its own name.
func (k *walker) chooseFirst(v *visitor) {
	u, factor := v.user, k.firstFactor()
	given, right, c := k.withFactor(u, factor)
	what := k.describe(u, fmt.Sprintf("SELECT_CHALLENGE with %s and a password that is right: %t", factor, right))
	var reply signInReply
	wanted := v.old(&k.pool, k.clock.Now())
	if given["USERNAME"] = u.name; slices.Contains(v.choices, factor) && k.maybe(2) {
		reply = k.world.answer(factor, v.session, given)
		need := map[string]string{"PASSWORD": "PASSWORD", "PASSWORD_SRP": "SRP_A", "EMAIL_OTP": "EMAIL_OTP_CODE", "SMS_OTP": "SMS_OTP_CODE"}[factor]
		if wanted == oldSession && given[need] == "" {
			wanted = invalid("Missing required parameter " + need) // an old session says nothing of a choice
		}
	} else {
		given["ANSWER"] = factor
		reply = k.world.answer("SELECT_CHALLENGE", v.session, given)
	}
	if wanted == "" && !(slices.Contains(v.choices, factor) && slices.Contains(u.choices(&k.pool), factor)) {
		wanted = notAvailable
	}
	if wanted != "" {
		k.expect(what, reply.outcome(), wanted)
		return
	}
	from := v.modelVisit
	from.choices = nil
	v.passed = k.chosen(what, from, factor, given, right, reply, false, c)
}

// giveFirst gives the password, or the public value, that was asked for.
func (k *walker) giveFirst(v *visitor) {
	u := v.user
	given, right, c := k.withFactor(u, v.at)
	if v.at == "PASSWORD" {
		given["PASSWORD"], right = k.word(u)
	}
	reply := k.respond(v, given)
	what := k.describe(u, fmt.Sprintf("%s with a password that is right: %t", v.at, right))
	if wanted := v.old(&k.pool, k.clock.Now()); wanted != "" {
		k.expect(what, reply.outcome(), wanted)
		return
	}
	v.passed = k.chosen(what, v.modelVisit, v.at, given, right, reply, false, c)
}
