//go:build linux

package chaos

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/srpclient"
	"github.com/poolhouse/poolhouse/internal/kit/totp"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// What users read who are refused.
const (
	incorrect = "NotAuthorizedException: Incorrect username or password."
	lockedOut = "NotAuthorizedException: Password attempts exceeded"
)

// said is a fault as a client reads it, "" for success.
func said(r reply) string {
	if r.code == "" {
		return ""
	}
	var body struct{ Message string }
	if err := json.Unmarshal(r.body, &body); err != nil {
		return err.Error()
	}
	return r.code + ": " + body.Message
}

func tally(replies []reply) map[string]int {
	count := map[string]int{}
	for _, r := range replies {
		count[said(r)]++
	}
	return count
}

// byPassword is InitiateAuth with a password.
func (n *nodes) byPassword(name, password string) map[string]any {
	return map[string]any{"ClientId": n.client, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": map[string]string{"USERNAME": name, "PASSWORD": password}}
}

// proof is the answer to a PASSWORD_VERIFIER challenge that one of the nodes gives.
func (n *nodes) proof(t *testing.T, node int, name, password string) map[string]any {
	t.Helper()
	c := srpclient.New(chance.System().Bytes(128))
	var asked struct{ ChallengeParameters map[string]string }
	n.must(t, node, "InitiateAuth", map[string]any{"ClientId": n.client, "AuthFlow": "USER_SRP_AUTH", "AuthParameters": map[string]string{"USERNAME": name, "SRP_A": c.Public}}, &asked)
	_, group, _ := strings.Cut(n.pool, "_")
	at := time.Now().UTC().Format("Mon Jan 2 15:04:05 UTC 2006")
	signature, err := c.Sign(group, password, at, asked.ChallengeParameters)
	want.NoError(t, err)
	return map[string]any{"ClientId": n.client, "ChallengeName": "PASSWORD_VERIFIER", "ChallengeResponses": map[string]string{
		"USERNAME": asked.ChallengeParameters["USER_ID_FOR_SRP"], "PASSWORD_CLAIM_SIGNATURE": signature,
		"PASSWORD_CLAIM_SECRET_BLOCK": asked.ChallengeParameters["SECRET_BLOCK"], "TIMESTAMP": at}}
}

// misses reads from the database how many passwords in a row were wrong.
func (n *nodes) misses(t *testing.T) (failures int) {
	t.Helper()
	db, err := openPostgres(n.dsn)
	want.NoError(t, err)
	defer func() { want.NoError(t, db.Close()) }()
	err = db.db.QueryRowContext(t.Context(), `SELECT failures FROM tallies WHERE pool_id = $1 AND budget = 'sign_in'`, n.pool).Scan(&failures)
	want.NoError(t, err)
	return failures
}

// TestTwoNodesCountPasswords guesses a password 500 times at once, at two servers and in two ways: five guesses are looked at, and one
// more for each lock that ran out meanwhile, which last 1, 2, 4 ... seconds. One of the servers is killed, and counts on where it was.
func TestTwoNodesCountPasswords(t *testing.T) {
	t.Parallel()
	n := startNodes(t)
	n.user(t, "jane")
	const guesses, exchanges = 500, 20
	var proofs []map[string]any
	for i := range exchanges {
		proofs = append(proofs, n.proof(t, i%2, "jane", fmt.Sprint("guess", i)))
	}
	begin := time.Now()
	count := tally(n.together(t, guesses, func(i int) (string, map[string]any) {
		if every := guesses / exchanges; i%every == 0 {
			return "RespondToAuthChallenge", proofs[i/every]
		}
		return "InitiateAuth", n.byPassword("jane", fmt.Sprint("guess", i))
	}))
	elapsed := uint(time.Since(begin) / time.Second)
	evaluated, allowed := count[incorrect], 5+bits.Len(elapsed+1)-1
	busy := 0
	for text, times := range count {
		if text != incorrect && text != lockedOut {
			busy += times
			want.Contains(t, text, "TooManyRequestsException")
		}
	}
	t.Logf("%d of %d guesses were evaluated in %d s, %d were refused by a lock, %d told to come again", evaluated, guesses, elapsed, count[lockedOut], busy)
	want.True(t, evaluated > 0 && evaluated <= allowed, "%d guesses were evaluated, and %d may be", evaluated, allowed)
	want.Equal(t, n.misses(t), evaluated)

	want.NoError(t, n.servers[1].Kill())
	_, err := n.servers[1].Start()
	want.NoError(t, err)
	want.Equal(t, n.misses(t), evaluated)
	want.NoError(t, await("the lock to end", func() (bool, error) {
		text := said(n.call(1, "InitiateAuth", n.byPassword("jane", "wrong")))
		if text != incorrect && text != lockedOut {
			return false, fmt.Errorf("the answer is %q", text)
		}
		return text == incorrect, nil
	}))
	want.Equal(t, n.misses(t), evaluated+1)
	n.refused(t, 0, "InitiateAuth", lockedOut, n.byPassword("jane", formerPassword))
}

// TestTwoNodesRefuseNobody signs one user in 50 times at once, at two servers and in two ways. No protection is in the way.
func TestTwoNodesRefuseNobody(t *testing.T) {
	t.Parallel()
	n := startNodes(t)
	n.user(t, "jane")
	for round := range Rounds(t, 1) {
		const honest = 50
		var proofs []map[string]any
		for i := range honest / 5 {
			proofs = append(proofs, n.proof(t, i%2, "jane", formerPassword))
		}
		count := tally(n.together(t, honest, func(i int) (string, map[string]any) {
			if i%5 == 0 {
				return "RespondToAuthChallenge", proofs[i/5]
			}
			return "InitiateAuth", n.byPassword("jane", formerPassword)
		}))
		want.Equal(t, count, map[string]int{"": honest})
		// Four wrong ones are not enough for a lock, whoever signs in meanwhile.
		count = tally(n.together(t, honest, func(i int) (string, map[string]any) {
			if i < 4 {
				return "InitiateAuth", n.byPassword("jane", "wrong")
			}
			return "InitiateAuth", n.byPassword("jane", formerPassword)
		}))
		want.Equal(t, count, map[string]int{"": honest - 4, incorrect: 4})
		n.must(t, round%2, "InitiateAuth", n.byPassword("jane", formerPassword), nil)
	}
}

// answerOf is an answer to the challenge that comes after a password.
func (n *nodes) answerOf(t *testing.T, node int, name, password, challenge string, more map[string]string) map[string]any {
	t.Helper()
	var asked signedIn
	n.must(t, node, "InitiateAuth", n.byPassword(name, password), &asked)
	want.Equal(t, asked.ChallengeName, challenge)
	more["USERNAME"] = name
	return map[string]any{"ClientId": n.client, "ChallengeName": challenge, "Session": asked.Session, "ChallengeResponses": more}
}

// withApp makes a user who is asked for the code of an authenticator app, whose first code was that of the step before now.
func (n *nodes) withApp(t *testing.T, name string) (key []byte) {
	t.Helper()
	n.user(t, name)
	access := n.token(t, 0, name)
	var made struct{ SecretCode string }
	n.must(t, 0, "AssociateSoftwareToken", map[string]any{"AccessToken": access}, &made)
	key, err := totp.Decode(made.SecretCode)
	want.NoError(t, err)
	n.must(t, 1, "VerifySoftwareToken", map[string]any{"AccessToken": access, "UserCode": totp.Code(key, totp.StepAt(time.Now())-1)}, nil)
	n.must(t, 0, "SetUserMFAPreference", map[string]any{"AccessToken": access, "SoftwareTokenMfaSettings": map[string]bool{"Enabled": true, "PreferredMfa": true}}, nil)
	return key
}

// TestTwoNodesPassAStepOnce answers one session a hundred times at once, at two servers: one answer counts.
func TestTwoNodesPassAStepOnce(t *testing.T) {
	t.Parallel()
	n := startNodes(t)
	n.must(t, 0, "SetUserPoolMfaConfig", map[string]any{"UserPoolId": n.pool, "MfaConfiguration": "OPTIONAL", "SoftwareTokenMfaConfiguration": map[string]bool{"Enabled": true}}, nil)
	const used = "NotAuthorizedException: Invalid session for the user, session can only be used once."
	for _, c := range []struct {
		name   string
		others []string // what may be said of the answers that came too late
		answer func(t *testing.T, name string, i int) map[string]any
	}{
		{"PASSWORD_VERIFIER", []string{used}, func(t *testing.T, name string, i int) map[string]any {
			t.Helper()
			n.user(t, name)
			return n.proof(t, i%2, name, formerPassword)
		}},
		{"NEW_PASSWORD_REQUIRED", []string{used}, func(t *testing.T, name string, i int) map[string]any {
			t.Helper()
			n.must(t, 0, "AdminCreateUser", map[string]any{"UserPoolId": n.pool, "Username": name, "MessageAction": "SUPPRESS", "TemporaryPassword": formerPassword}, nil)
			return n.answerOf(t, i%2, name, formerPassword, "NEW_PASSWORD_REQUIRED", map[string]string{"NEW_PASSWORD": newPassword})
		}},
		{"SOFTWARE_TOKEN_MFA", []string{used}, func(t *testing.T, name string, i int) map[string]any {
			t.Helper()
			key := n.withApp(t, name)
			return n.answerOf(t, i%2, name, formerPassword, "SOFTWARE_TOKEN_MFA", map[string]string{"SOFTWARE_TOKEN_MFA_CODE": totp.Code(key, totp.StepAt(time.Now()))})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for i := range Rounds(t, 1) {
				input := c.answer(t, fmt.Sprintf("%s-%d", c.name, i), i)
				n.onlyOne(t, n.together(t, 100, func(int) (string, map[string]any) { return "RespondToAuthChallenge", input }), c.others...)
			}
		})
	}
	t.Run("a code in many sign-ins", func(t *testing.T) {
		t.Parallel()
		key := n.withApp(t, "jane")
		code := totp.Code(key, totp.StepAt(time.Now())+1)
		var answers []map[string]any
		for i := range 20 {
			answers = append(answers, n.answerOf(t, i%2, "jane", formerPassword, "SOFTWARE_TOKEN_MFA", map[string]string{"SOFTWARE_TOKEN_MFA_CODE": code}))
		}
		n.onlyOne(t, n.together(t, len(answers), func(i int) (string, map[string]any) { return "RespondToAuthChallenge", answers[i] }),
			"ExpiredCodeException: Your software token has already been used once.")
	})
	t.Run("a refresh token that rotates", func(t *testing.T) {
		t.Parallel()
		var client struct{ UserPoolClient struct{ ClientId string } } //nolint:revive // the name on the wire
		n.must(t, 1, "CreateUserPoolClient", map[string]any{"UserPoolId": n.pool, "ClientName": "rotating", "ExplicitAuthFlows": []string{"ALLOW_USER_PASSWORD_AUTH"},
			"RefreshTokenRotation": map[string]any{"Feature": "ENABLED", "RetryGracePeriodSeconds": 0}}, &client)
		n.user(t, "joan")
		begin := n.byPassword("joan", formerPassword)
		begin["ClientId"] = client.UserPoolClient.ClientId
		var s signedIn
		n.must(t, 0, "InitiateAuth", begin, &s)
		n.onlyOne(t, n.together(t, 100, func(int) (string, map[string]any) {
			return "GetTokensFromRefreshToken", map[string]any{"ClientId": client.UserPoolClient.ClientId, "RefreshToken": s.AuthenticationResult.RefreshToken}
		}), "RefreshTokenReuseException: Refresh token has been reused.", "NotAuthorizedException: Refresh Token has been revoked")
	})
}

// onlyOne fails the test unless exactly one call succeeded. The others were too late, or told to come again.
func (n *nodes) onlyOne(t *testing.T, replies []reply, others ...string) {
	t.Helper()
	count := tally(replies)
	want.Equal(t, count[""], 1)
	rest := len(replies) - 1
	for _, text := range others {
		rest -= count[text]
	}
	for text, times := range count {
		if strings.HasPrefix(text, "TooManyRequestsException") {
			rest -= times
		}
	}
	want.True(t, rest == 0, "the answers are %v", count)
}
