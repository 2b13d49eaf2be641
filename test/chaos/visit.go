//go:build linux

package chaos

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/totp"
)

// Visitors are users who sign in, with and without an authenticator app. What their sign-ins leave behind is the object
// "visits:NAME": a field for each sign-in that says whether it was ended and how often its refresh token was rotated, and the
// last step of which a code was accepted. One object for all of it, since a global sign-out ends all at once; a call of unknown
// outcome freezes it.

// SignIns is the part of the table that is about visitors.
func SignIns() []Operation {
	return []Operation{
		{"AdminCreateUser", 3, createVisitor},
		{"AdminSetUserPassword", 3, admitVisitor},
		{"InitiateAuth", 6, signIn},
		{"AssociateSoftwareToken", 3, associateApp},
		{"VerifySoftwareToken", 3, verifyApp},
		{"AdminSetUserMFAPreference", 3, preferApp},
		{"RespondToAuthChallenge", 8, passChallenge},
		{"RespondToAuthChallenge", 2, repeatCode},
		{"InitiateAuth", 3, beginRiddle},
		{"RespondToAuthChallenge", 5, solveRiddle},
		{"RespondToAuthChallenge", 1, repeatRiddle},
		{"InitiateAuth", 1, preferPassword},
		{"InitiateAuth", 1, beginChoice},
		{"RespondToAuthChallenge", 2, choosePassword},
		{"InitiateAuth", 2, renewVisit},
		{"InitiateAuth", 1, renewEnded},
		{"GetTokensFromRefreshToken", 4, rotateVisit},
		{"GetTokensFromRefreshToken", 1, rotateEnded},
		{"RevokeToken", 2, revokeVisit},
		{"GlobalSignOut", 1, endVisits},
		{"GetUser", 1, useEnded},
	}
}

// rotatingClient is the client of the shared pool that rotates refresh tokens, without a time of grace.
const rotatingClient = "chaosrotating"

const (
	ownVisitors = 2 // users of a writer who sign in
	ownVisits   = 4 // sign-ins of a visitor that live
	// visitorPassword is their password, once they are admitted.
	visitorPassword = "Password-1"
)

// The fields of "visits:NAME" beside the sign-ins, whose names are "plain..." or "rotating..." after their client.
const (
	fieldUsed = "used" // the last step of which a code was accepted
	fieldApp  = "app"  // there is a verified authenticator app
)

// visit is what came of a sign-in.
type visit struct {
	ended      bool
	generation int
}

// String is the visit as the model holds it.
func (v visit) String() string { return fmt.Sprintf("ended=%t generation=%d", v.ended, v.generation) }

// holding is what a visitor holds, and nobody else knows.
type holding struct {
	tokens  map[string]*ticket // by visit
	key     []byte             // of the authenticator app
	session string             // of a sign-in that waits for a code, "" for none
	client  string             // by which that one was begun
	waiting map[string]waiting // sign-ins that wait for something else, by their challenges
	solved  waiting            // a custom sign-in that was completed
}

// waiting is a sign-in that waits for an answer.
type waiting struct{ session, client string }

// The ways in which visits come about, as the checker counts them.
const (
	byPassword = "password"
	byCode     = "code"
	byRiddle   = "riddle"
	byChoice   = "choice"
)

// ticket is what a sign-in gave, or the last renewal of it.
type ticket struct {
	refresh, access string
	visit
}

func visitsOf(object string) string { return "visits:" + userName(object) }

// visitors is how the names of the writer's visitors begin.
func (w *Writer) visitors() string { return "i" + strconv.Itoa(w.ID) + "u" }

// visitor draws a visitor of whom all is known, and what the visitor holds.
func (w *Writer) visitor() (object string, h *holding, ok bool) {
	object, ok = w.draw("user:" + w.visitors())
	if !ok || w.frozen[visitsOf(object)] {
		return "", nil, false
	}
	if w.held == nil {
		w.held = map[string]*holding{}
	}
	if w.held[object] == nil {
		w.held[object] = &holding{tokens: map[string]*ticket{}, waiting: map[string]waiting{}}
	}
	return object, w.held[object], true
}

func (w *Writer) hasApp(object string) bool { return w.model[visitsOf(object)][fieldApp] != "" }

// asked reports whether a visitor is asked for a code.
func (w *Writer) asked(object string) bool { return w.model[object][fieldFactor] != "" }

// visits lists the sign-ins of a visitor by a client that live, or that were ended.
func (w *Writer) visits(object, client string, ended bool) (list []string) {
	fields := w.model[visitsOf(object)]
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if strings.HasPrefix(name, client) && strings.HasPrefix(fields[name], fmt.Sprintf("ended=%t ", ended)) {
			list = append(list, name)
		}
	}
	return list
}

// The clients, as the names of visits begin.
const (
	plain    = "plain"
	rotating = "rotating"
)

var clientIDs = map[string]string{plain: sharedClient, rotating: rotatingClient}

// ticket draws a sign-in of a visitor whose newest tokens the visitor holds.
func (w *Writer) ticket(client string, ended bool) (object, name string, t *ticket, ok bool) {
	object, h, ok := w.visitor()
	if !ok {
		return "", "", nil, false
	}
	list := slices.DeleteFunc(w.visits(object, client, ended), func(name string) bool {
		t := h.tokens[name]
		return t == nil || visit{ended, t.generation}.String() != w.model[visitsOf(object)][name] // the answer was lost
	})
	if len(list) == 0 {
		return "", "", nil, false
	}
	name = list[w.rand.IntN(len(list))]
	return object, name, h.tokens[name], true
}

// visiting makes a call about the sign-ins of a visitor.
func (w *Writer) visiting(object string, e Effect, input map[string]any) Call {
	e.Object, e.Pool, e.Sub = visitsOf(object), w.Pool, w.model[object][fieldSub]
	if e.Kind == Change && !w.exists(e.Object) {
		e.Kind = Create
	}
	return Call{Input: input, Effect: e}
}

func createVisitor(w *Writer) (Call, bool) {
	if len(w.objects("user:"+w.visitors())) >= ownVisitors {
		return Call{}, false
	}
	mark := w.unique("m")
	set := map[string]string{"nickname": mark, "custom:mark": mark}
	return w.create("user:"+w.unique(w.visitors()), set, Effect{}, map[string]any{"MessageAction": "SUPPRESS", "UserAttributes": attributes(set)}), true
}

func admitVisitor(w *Writer) (Call, bool) {
	object, _, ok := w.visitor()
	return w.about(object, Effect{Kind: Change, Set: map[string]string{fieldStatus: "CONFIRMED"}}, map[string]any{"Password": visitorPassword, "Permanent": true}),
		ok && w.model[object][fieldStatus] != "CONFIRMED"
}

// signedIn is an answer of the operations that sign in.
type signedIn struct {
	ChallengeName, Session string
	AuthenticationResult   struct{ AccessToken, RefreshToken string }
}

func readSignedIn(answer []byte) (s signedIn, err error) {
	if err = json.Unmarshal(answer, &s); err == nil && s.AuthenticationResult.AccessToken == "" {
		err = fmt.Errorf("no tokens: %s", answer)
	}
	return s, err
}

// family is the id of a sign-in, as its access tokens tell.
func family(answer []byte) (string, error) {
	s, err := readSignedIn(answer)
	if err != nil {
		return "", err
	}
	parts := strings.Split(s.AuthenticationResult.AccessToken, ".")
	if len(parts) != 3 {
		return "", fmt.Errorf("not a token: %s", s.AuthenticationResult.AccessToken)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	var claims struct {
		Origin string `json:"origin_jti"`
	}
	err = json.Unmarshal(text, &claims)
	return claims.Origin, err
}

// entering makes a call that completes a sign-in by a client, in one of the ways.
func (w *Writer) entering(object string, h *holding, way, client string, input map[string]any) Call {
	name := w.unique(client)
	input["ClientId"] = clientIDs[client]
	c := w.visiting(object, Effect{Kind: Change, Visit: name, Way: way, Set: map[string]string{name: visit{}.String()}}, input)
	c.Made = family
	c.Check = func(answer []byte) error {
		s, err := readSignedIn(answer)
		h.tokens[name] = &ticket{refresh: s.AuthenticationResult.RefreshToken, access: s.AuthenticationResult.AccessToken}
		return err
	}
	return c
}

// comer draws a visitor who may sign in once more, and a client.
func (w *Writer) comer() (object string, h *holding, client string, ok bool) {
	object, h, ok = w.visitor()
	if client = plain; w.rand.IntN(2) == 0 {
		client = rotating
	}
	return object, h, client, ok && w.model[object][fieldStatus] == "CONFIRMED" && len(w.visits(object, "", false)) < ownVisits
}

// signIn signs a visitor in, or begins to where a code is asked for.
func signIn(w *Writer) (Call, bool) {
	object, h, client, ok := w.comer()
	if !ok {
		return Call{}, false
	}
	return w.typing(object, h, byPassword, client, map[string]any{"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": clientIDs[client],
		"AuthParameters": map[string]string{"USERNAME": userName(object), "PASSWORD": visitorPassword}}), true
}

// preferPassword does so by a sign-in whose first factor the visitor chooses at once.
func preferPassword(w *Writer) (Call, bool) {
	object, h, client, ok := w.comer()
	if !ok {
		return Call{}, false
	}
	return w.typing(object, h, byChoice, client, map[string]any{"AuthFlow": "USER_AUTH", "ClientId": clientIDs[client],
		"AuthParameters": map[string]string{"USERNAME": userName(object), "PREFERRED_CHALLENGE": "PASSWORD", "PASSWORD": visitorPassword}}), true
}

// beginChoice begins a sign-in to where the visitor chooses.
func beginChoice(w *Writer) (Call, bool) { return w.begin("USER_AUTH", "SELECT_CHALLENGE") }

// beginRiddle begins a sign-in to where the pool's functions ask something.
func beginRiddle(w *Writer) (Call, bool) { return w.begin("CUSTOM_AUTH", "CUSTOM_CHALLENGE") }

func (w *Writer) begin(flow, challenge string) (Call, bool) {
	object, h, client, ok := w.comer()
	if !ok {
		return Call{}, false
	}
	input := map[string]any{"AuthFlow": flow, "ClientId": clientIDs[client], "AuthParameters": map[string]string{"USERNAME": userName(object)}}
	return Call{Input: input, Check: func(answer []byte) error {
		var s signedIn
		if err := json.Unmarshal(answer, &s); err != nil {
			return err
		}
		if s.ChallengeName != challenge {
			return fmt.Errorf("%s was not asked for %s: %s", object, challenge, answer)
		}
		h.waiting[challenge] = waiting{s.Session, client}
		return nil
	}}, true
}

// waiter draws a visitor whose sign-in waits for the answer to a challenge, and takes that sign-in.
func (w *Writer) waiter(challenge string) (object string, h *holding, at waiting, ok bool) {
	object, h, _, ok = w.comer()
	if !ok || h.waiting[challenge].session == "" {
		return "", nil, waiting{}, false
	}
	at = h.waiting[challenge]
	delete(h.waiting, challenge)
	return object, h, at, true
}

// answering answers a challenge.
func answering(object, challenge string, at waiting, responses map[string]string) map[string]any {
	responses["USERNAME"] = userName(object)
	return map[string]any{"ClientId": clientIDs[at.client], "ChallengeName": challenge, "Session": at.session, "ChallengeResponses": responses}
}

// solveRiddle answers what the pool's functions ask, who ask for no code.
func solveRiddle(w *Writer) (Call, bool) {
	object, h, at, ok := w.waiter("CUSTOM_CHALLENGE")
	if !ok {
		return Call{}, false
	}
	c := w.entering(object, h, byRiddle, at.client, answering(object, "CUSTOM_CHALLENGE", at, map[string]string{"ANSWER": riddleAnswer}))
	entered := c.Check
	c.Refused, c.Check = tooLate(), func(answer []byte) error {
		h.solved = at
		return entered(answer)
	}
	return c, true
}

// repeatRiddle answers once more what was answered, which must not be accepted.
func repeatRiddle(w *Writer) (Call, bool) {
	object, h, ok := w.visitor()
	if !ok || h.solved.session == "" {
		return Call{}, false
	}
	return Call{Must: true, Refused: tooLate(), Input: answering(object, "CUSTOM_CHALLENGE", h.solved, map[string]string{"ANSWER": riddleAnswer})}, true
}

// choosePassword chooses the password, and gives it.
func choosePassword(w *Writer) (Call, bool) {
	object, h, at, ok := w.waiter("SELECT_CHALLENGE")
	if !ok {
		return Call{}, false
	}
	c := w.typing(object, h, byChoice, at.client, answering(object, "SELECT_CHALLENGE", at, map[string]string{"ANSWER": "PASSWORD", "PASSWORD": visitorPassword}))
	c.Refused = tooLate()
	return c, true
}

// typing makes a call that proves the password of a visitor, who then is signed in or asked for a code.
func (w *Writer) typing(object string, h *holding, way, client string, input map[string]any) Call {
	if !w.asked(object) {
		return w.entering(object, h, way, client, input)
	}
	return Call{Input: input, Check: func(answer []byte) error {
		var s signedIn
		if err := json.Unmarshal(answer, &s); err != nil {
			return err
		}
		if s.ChallengeName != "SOFTWARE_TOKEN_MFA" {
			return fmt.Errorf("%s, who has an authenticator app, was not asked for its code: %s", object, answer)
		}
		h.session, h.client = s.Session, client
		return nil
	}}
}

// step draws a step of which no code was accepted and which is good now by the server's clock; false when there is none, or the server
// cannot be asked.
func (w *Writer) step(object string) (totp.Step, bool) {
	now, ok := w.serverStep()
	if !ok {
		return 0, false
	}
	next := max(w.used(object)+1, now-1)
	return next, next <= now+1
}

func (w *Writer) used(object string) totp.Step {
	n, err := strconv.ParseInt(w.model[visitsOf(object)][fieldUsed], 10, 64)
	if err != nil {
		return 0 // none
	}
	return totp.Step(n)
}

func (w *Writer) serverStep() (totp.Step, bool) {
	resp, err := w.http.Get(w.endpoint + "/_poolhouse/clock")
	if err != nil {
		return 0, false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	var clock struct {
		Now time.Time `json:"now"`
	}
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(body, &clock) != nil {
		return 0, false
	}
	return totp.StepAt(clock.Now), true
}

func formatStep(s totp.Step) string { return strconv.FormatInt(int64(s), 10) }

// associateApp gets the key of an authenticator app. One whose answer is lost is never verified.
func associateApp(w *Writer) (Call, bool) {
	object, _, t, ok := w.ticket("", false)
	if !ok || w.hasApp(object) {
		return Call{}, false
	}
	c := w.visiting(object, Effect{Kind: Change}, map[string]any{"AccessToken": t.access})
	c.Refused = []string{"NotAuthorizedException"} // a round may move the clock past the life of the token
	w.held[object].key = nil
	c.Check = func(answer []byte) (err error) {
		var s struct{ SecretCode string }
		if err = json.Unmarshal(answer, &s); err == nil {
			w.held[object].key, err = totp.Decode(s.SecretCode)
		}
		return err
	}
	return c, true
}

// tooLate are the answers to codes and sessions where a round may have moved the clock.
func tooLate() []string {
	return []string{"NotAuthorizedException", "CodeMismatchException", "ExpiredCodeException", "EnableSoftwareTokenMFAException"}
}

func verifyApp(w *Writer) (Call, bool) {
	object, _, t, ok := w.ticket("", false)
	if !ok || w.hasApp(object) || w.held[object].key == nil {
		return Call{}, false
	}
	step, ok := w.step(object)
	c := w.visiting(object, Effect{Kind: Change, Set: map[string]string{fieldApp: "true", fieldUsed: formatStep(step)}},
		map[string]any{"AccessToken": t.access, "UserCode": totp.Code(w.held[object].key, step)})
	c.Refused = tooLate()
	return c, ok
}

func preferApp(w *Writer) (Call, bool) {
	object, _, ok := w.visitor()
	return w.about(object, Effect{Kind: Change, Set: map[string]string{fieldFactor: "SOFTWARE_TOKEN_MFA"}},
		map[string]any{"SoftwareTokenMfaSettings": map[string]bool{"Enabled": true, "PreferredMfa": true}}), ok && w.hasApp(object) && !w.asked(object)
}

// coded answers a challenge with the code of a step.
func coded(object string, h *holding, step totp.Step) map[string]any {
	session := h.session
	h.session = ""
	return map[string]any{"ChallengeName": "SOFTWARE_TOKEN_MFA", "Session": session,
		"ChallengeResponses": map[string]string{"USERNAME": userName(object), "SOFTWARE_TOKEN_MFA_CODE": totp.Code(h.key, step)}}
}

func passChallenge(w *Writer) (Call, bool) {
	object, h, ok := w.visitor()
	if !ok || h.session == "" {
		return Call{}, false
	}
	step, ok := w.step(object)
	if !ok {
		return Call{}, false
	}
	c := w.entering(object, h, byCode, h.client, coded(object, h, step))
	c.Effect.Set[fieldUsed], c.Refused = formatStep(step), tooLate()
	return c, true
}

// repeatCode shows a code once more, which must not be accepted: the last that was, or one before it.
func repeatCode(w *Writer) (Call, bool) {
	object, h, ok := w.visitor()
	if !ok || h.session == "" {
		return Call{}, false
	}
	now, ok := w.serverStep()
	last := min(w.used(object), now+1)
	if !ok || last < now-1 {
		return Call{}, false
	}
	c := Call{Input: coded(object, h, now-1+totp.Step(w.rand.Int64N(int64(last-now+2)))), Refused: tooLate(), Must: true}
	c.Input["ClientId"] = clientIDs[h.client]
	return c, true
}

// renewVisit renews the tokens of a sign-in that lives: whatever happened to the server, it must know the refresh token.
func renewVisit(w *Writer) (Call, bool) {
	_, _, t, ok := w.ticket(plain, false)
	return renewal(t, false), ok
}

// renewEnded does so after the sign-in was ended.
func renewEnded(w *Writer) (Call, bool) {
	_, _, t, ok := w.ticket(plain, true)
	return renewal(t, true), ok
}

func renewal(t *ticket, ended bool) Call {
	if t == nil {
		return Call{}
	}
	c := Call{Must: ended, Input: map[string]any{"AuthFlow": "REFRESH_TOKEN_AUTH", "ClientId": sharedClient, "AuthParameters": map[string]string{"REFRESH_TOKEN": t.refresh}}}
	c.Check = func(answer []byte) error {
		s, err := readSignedIn(answer)
		t.access = s.AuthenticationResult.AccessToken
		return err
	}
	if ended {
		c.Refused, c.Check = []string{"NotAuthorizedException"}, nil
	}
	return c
}

// rotateVisit uses up a refresh token, and gets the next.
func rotateVisit(w *Writer) (Call, bool) {
	object, name, t, ok := w.ticket(rotating, false)
	if !ok {
		return Call{}, false
	}
	next := visit{generation: t.generation + 1}
	c := w.visiting(object, Effect{Kind: Change, Set: map[string]string{name: next.String()}}, map[string]any{"ClientId": rotatingClient, "RefreshToken": t.refresh})
	c.Check = func(answer []byte) error {
		s, err := readSignedIn(answer)
		t.visit, t.refresh, t.access = next, s.AuthenticationResult.RefreshToken, s.AuthenticationResult.AccessToken
		return err
	}
	return c, true
}

func rotateEnded(w *Writer) (Call, bool) {
	_, _, t, ok := w.ticket(rotating, true)
	if !ok {
		return Call{}, false
	}
	return Call{Must: true, Refused: []string{"NotAuthorizedException"}, Input: map[string]any{"ClientId": rotatingClient, "RefreshToken": t.refresh}}, true
}

func revokeVisit(w *Writer) (Call, bool) {
	client := plain
	if w.rand.IntN(2) == 0 {
		client = rotating
	}
	object, name, t, ok := w.ticket(client, false)
	if !ok {
		return Call{}, false
	}
	after := visit{ended: true, generation: t.generation}
	return w.visiting(object, Effect{Kind: Change, Set: map[string]string{name: after.String()}},
		map[string]any{"ClientId": clientIDs[client], "Token": t.refresh}), true
}

// endVisits ends all sign-ins of a visitor.
func endVisits(w *Writer) (Call, bool) {
	object, _, t, ok := w.ticket("", false)
	if !ok || len(w.visits(object, "", false)) < ownVisits {
		return Call{}, false
	}
	set := map[string]string{}
	for _, name := range w.visits(object, "", false) {
		set[name] = strings.Replace(w.model[visitsOf(object)][name], "ended=false", "ended=true", 1)
	}
	c := w.visiting(object, Effect{Kind: Change, Set: set}, map[string]any{"AccessToken": t.access})
	c.Refused = []string{"NotAuthorizedException"} // a round may move the clock past the life of the token
	return c, true
}

// useEnded shows an access token of a sign-in that was ended.
func useEnded(w *Writer) (Call, bool) {
	_, _, t, ok := w.ticket("", true)
	if !ok {
		return Call{}, false
	}
	return Call{Must: true, Refused: []string{"NotAuthorizedException"}, Input: map[string]any{"AccessToken": t.access}}, true
}

// began takes in a sign-in that took place; id is "" when its answer was lost.
func (c *Checker) began(l Line, id string) {
	c.Visits[l.Effect.Way]++
	if id != "" {
		c.families[l.Effect.Object+" "+l.Effect.Visit] = id
	}
}

// visits holds the sign-ins in the database against those that were acknowledged: those whose tokens were handed out one by one, the
// others by what they have become. And the codes that were accepted are used up.
func (c *Checker) visits(v *view) {
	for _, object := range slices.Sorted(maps.Keys(c.model)) {
		name, ok := strings.CutPrefix(object, "visits:")
		if !ok {
			continue
		}
		fields, sub := c.model[object], v.users[name].sub
		left := maps.Clone(v.families[sub])
		var expected []string
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			if !strings.HasPrefix(field, plain) && !strings.HasPrefix(field, rotating) {
				continue
			}
			id := c.families[object+" "+field]
			if id == "" {
				expected = append(expected, fields[field])
				continue
			}
			if got := left[id]; got != fields[field] {
				c.violate("the sign-in %s of %s, whose tokens were handed out, is %q and was acknowledged as %q", id, name, got, fields[field])
			}
			delete(left, id)
		}
		slices.Sort(expected)
		if got := slices.Sorted(maps.Values(left)); !slices.Equal(got, expected) {
			c.violate("%s has sign-ins that are %q beside those whose tokens were handed out, and should have %q", name, got, expected)
		}
		if got, want := strconv.FormatInt(v.used[sub], 10), fields[fieldUsed]; want != "" && got != want {
			c.violate("the last code of %s that counts as used is that of step %s, and one of step %s was accepted", name, got, want)
		}
	}
}
