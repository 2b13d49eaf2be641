package ops_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/srp"
	"github.com/poolhouse/poolhouse/internal/kit/srpclient"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// rightPassword is the password of users that withPassword made.
const rightPassword = "Corr3ct-Horse!Battery"

// Refusals of sign-ins.
const (
	incorrect   = "NotAuthorizedException: Incorrect username or password."
	lockedOut   = "NotAuthorizedException: Password attempts exceeded"
	badSession  = "NotAuthorizedException: Invalid session for the user."
	oldSession  = "NotAuthorizedException: Invalid session for the user, session is expired."
	usedSession = "NotAuthorizedException: Invalid session for the user, session can only be used once."
	nobodyThere = "UserNotFoundException: User does not exist."
	isDisabled  = "NotAuthorizedException: User is disabled."
)

// allFlows lets a client sign in by every flow.
func allFlows(c *pool.Client) {
	c.RefreshValidity = 30
	c.AuthFlows = []string{"ALLOW_USER_SRP_AUTH", "ALLOW_USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_CUSTOM_AUTH", "ALLOW_USER_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"}
}

// clientOf applies several changes to a client.
func clientOf(changes ...func(*pool.Client)) func(*pool.Client) {
	return func(c *pool.Client) {
		for _, fn := range changes {
			fn(c)
		}
	}
}

// withPassword stores a user with rightPassword.
func (w *world) withPassword(name string, attributes map[string]string, change ...func(*user.Record)) *user.Record {
	w.Helper()
	u := w.addUser(name, attributes, change...)
	w.storePassword(u, rightPassword)
	return u
}

func (w *world) storePassword(u *user.Record, text string) {
	w.Helper()
	salt := chance.System().Salt()
	w.update(func(tx store.Tx) error {
		return tx.Passwords().Put(&credential.Password{PoolID: w.pool.ID, Sub: u.Sub, Set: w.clock.Now(),
			Kept: credential.Kept{Salt: salt, Verifier: srp.Verifier(w.pool.Group(), u.Username, text, salt)}})
	})
}

// temporary makes a user who has to change the password.
func temporary(r *user.Record) { r.Status, r.TemporarySince = user.ForceChangePassword, start }

// signInReply is an answer of the four operations.
type signInReply struct {
	ChallengeName        string
	Session              string
	ChallengeParameters  map[string]string
	AvailableChallenges  []string
	AuthenticationResult *struct {
		AccessToken, IdToken, RefreshToken, TokenType string
		ExpiresIn                                     int
	}
	text string
}

func (w *world) readSignIn(text string) signInReply {
	w.Helper()
	s := signInReply{text: text}
	if strings.HasPrefix(text, "{") {
		want.NoError(w, json.Unmarshal([]byte(text), &s))
	}
	return s
}

func object(m map[string]string) string {
	b, _ := json.Marshal(m)
	return string(b)
}

// begin calls InitiateAuth, or AdminInitiateAuth for a flow of administrators.
func (w *world) begin(flow string, parameters map[string]string) signInReply {
	w.Helper()
	return w.readSignIn(w.call(beginBody(w, flow, parameters)))
}

func beginBody(w *world, flow string, parameters map[string]string) (operation, body string) {
	members := `"ClientId":"` + w.clientID + `","AuthFlow":"` + flow + `","AuthParameters":` + object(parameters) + `}`
	if strings.HasPrefix(flow, "ADMIN") {
		return "AdminInitiateAuth", `{"UserPoolId":"$pool",` + members
	}
	return "InitiateAuth", "{" + members
}

// answer calls RespondToAuthChallenge; an empty session is none.
func (w *world) answer(name, session string, responses map[string]string) signInReply {
	w.Helper()
	return w.readSignIn(w.call("RespondToAuthChallenge", w.answerBody(name, session, responses)))
}

func (w *world) answerBody(name, session string, responses map[string]string) string {
	if session != "" {
		session = `"Session":"` + session + `",`
	}
	return `{"ClientId":"` + w.clientID + `","ChallengeName":"` + name + `",` + session + `"ChallengeResponses":` + object(responses) + `}`
}

// byPassword signs in by USER_PASSWORD_AUTH.
func (w *world) byPassword(name, password string) signInReply {
	w.Helper()
	return w.begin("USER_PASSWORD_AUTH", map[string]string{"USERNAME": name, "PASSWORD": password})
}

// timestamp is the time of the world as clients write it.
func (w *world) timestamp() string { return w.clock.Now().Format("Mon Jan 2 15:04:05 UTC 2006") }

// prove is the answer to a PASSWORD_VERIFIER challenge.
func (w *world) prove(c *srpclient.Client, s signInReply, password string) map[string]string {
	w.Helper()
	signature, err := c.Sign(w.pool.Group(), password, w.timestamp(), s.ChallengeParameters)
	want.NoError(w, err)
	return map[string]string{"USERNAME": s.ChallengeParameters["USER_ID_FOR_SRP"], "PASSWORD_CLAIM_SIGNATURE": signature,
		"PASSWORD_CLAIM_SECRET_BLOCK": s.ChallengeParameters["SECRET_BLOCK"], "TIMESTAMP": w.timestamp()}
}

// bySRP signs in by USER_SRP_AUTH, both steps.
func (w *world) bySRP(name, password string) signInReply {
	w.Helper()
	c := srpclient.New(chance.System().Bytes(128))
	s := w.begin("USER_SRP_AUTH", map[string]string{"USERNAME": name, "SRP_A": c.Public})
	if s.ChallengeName != "PASSWORD_VERIFIER" {
		return s
	}
	return w.answer("PASSWORD_VERIFIER", "", w.prove(c, s, password))
}

// gotTokens fails the test unless an answer holds tokens.
func (w *world) gotTokens(s signInReply) {
	w.Helper()
	want.True(w, s.AuthenticationResult != nil, "no tokens: %s", s.text)
	want.Equal(w, s.AuthenticationResult.TokenType, "Bearer")
}

// claims are the claims of a token, as text.
func (w *world) claimsOf(token string) string {
	w.Helper()
	parts := strings.Split(token, ".")
	want.Equal(w, len(parts), 3)
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	want.NoError(w, err)
	return string(b)
}

// claim is one claim of a token, as JSON decodes it.
func (w *world) claim(token, name string) any {
	w.Helper()
	var all map[string]any
	want.NoError(w, json.Unmarshal([]byte(w.claimsOf(token)), &all))
	return all[name]
}

// missed is the tally of a user's wrong passwords.
func (w *world) missed(subject string) (t verify.Tally) {
	w.Helper()
	w.view(func(v store.View) (err error) {
		t, err = v.Tallies().Get(w.pool.ID, subject, verify.SignIn)
		return err
	})
	return t
}

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// outcomeOf is what came of one of many requests: "ok", the fault, or "busy" for one that the database was too busy for.
func outcomeOf(reply dispatch.Reply) string {
	switch {
	case reply.Err == nil:
		return "ok"
	case errors.Is(reply.Cause, store.ErrBusy), errors.Is(reply.Cause, store.ErrStale):
		return "busy"
	}
	return string(reply.Err.Code) + ": " + reply.Err.Message
}

// hashFor is SECRET_HASH of a name and a client's id.
func hashFor(key, message string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(message))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
