package ops_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// signInHooks are all functions of a sign-in.
var signInHooks = both(withHook("PreAuthentication"), withHook("PostAuthentication"), withHook("PreTokenGeneration"), withHook("UserMigration"), withHook("CustomMessage"))

// answers lets functions answer by their trigger; the others answer nothing.
func (w *world) answers(byTrigger map[string]string) {
	w.hooks.mu.Lock()
	defer w.hooks.mu.Unlock()
	w.hooks.answer = func(c *trigger.Call) (json.RawMessage, error) {
		text, ok := byTrigger[c.Trigger]
		switch {
		case !ok:
			return json.RawMessage(`{}`), nil
		case strings.HasPrefix(text, "{"):
			return json.RawMessage(text), nil
		}
		return nil, &trigger.FunctionError{Message: text}
	}
}

// happened are the events of the functions that ran, and forgets them.
func (w *world) happened() []event {
	w.hooks.mu.Lock()
	defer w.hooks.mu.Unlock()
	defer func() { w.hooks.events = nil }()
	return slices.Clone(w.hooks.events)
}

func (w *world) beginWith(flow string, metadata string, parameters map[string]string) signInReply {
	w.Helper()
	operation, body := beginBody(w, flow, parameters)
	return w.readSignIn(w.call(operation, strings.TrimSuffix(body, "}")+`,"ClientMetadata":`+metadata+`}`))
}

// TestSignInFunctions holds which functions run, in which order, and what each is told.
func TestSignInFunctions(t *testing.T) {
	t.Parallel()
	onBoth(t, signInHooks, func(w *world) {
		w.client(allFlows)
		w.withPassword("jane", nil)
		w.withPassword("new", nil, temporary)
		ends := []string{"PostAuthentication_Authentication", "TokenGeneration_Authentication"}
		password := map[string]string{"USERNAME": "jane", "PASSWORD": rightPassword}
		for _, flow := range []string{"USER_PASSWORD_AUTH", "ADMIN_USER_PASSWORD_AUTH"} {
			s := w.beginWith(flow, `{"k":"v"}`, password)
			w.gotTokens(s)
			events := w.happened()
			want.Equal(w, sourcesOf(events), append([]string{"PreAuthentication_Authentication"}, ends...))
			want.Equal(w, events[0].Request["validationData"], any(map[string]any{"k": "v"}))
			want.Equal(w, events[0].Request["userNotFound"], any(false))
			for _, e := range events {
				want.Equal(w, e.UserName, "jane")
				want.Equal(w, e.CallerContext["clientId"], w.clientID)
				want.True(w, e.Request["clientMetadata"] == nil, "what a sign-in begins with is not for %s", e.TriggerSource)
			}
			refreshed := w.begin("REFRESH_TOKEN_AUTH", map[string]string{"REFRESH_TOKEN": s.AuthenticationResult.RefreshToken})
			w.gotTokens(refreshed)
			want.Equal(w, w.ran(), []string{"TokenGeneration_RefreshTokens"})
			want.Contains(w, w.call("GetTokensFromRefreshToken", `{"ClientId":"`+w.clientID+`","ClientMetadata":{"k":"v"},"RefreshToken":"`+s.AuthenticationResult.RefreshToken+`"}`), "AccessToken")
			events = w.happened()
			want.Equal(w, sourcesOf(events), []string{"TokenGeneration_Authentication"})
			want.Equal(w, events[0].Request["clientMetadata"], any(map[string]any{"k": "v"}))
		}

		// In two steps; the second one's metadata go on.
		s := w.begin("USER_PASSWORD_AUTH", map[string]string{"USERNAME": "new", "PASSWORD": rightPassword})
		want.Equal(w, w.ran(), []string{"PreAuthentication_Authentication"})
		body := w.answerBody("NEW_PASSWORD_REQUIRED", s.Session, map[string]string{"USERNAME": "new", "NEW_PASSWORD": "N3w-Passw0rd"})
		w.gotTokens(w.readSignIn(w.call("RespondToAuthChallenge", strings.TrimSuffix(body, "}")+`,"ClientMetadata":{"x":"y"}}`)))
		events := w.happened()
		want.Equal(w, sourcesOf(events), []string{"PostAuthentication_Authentication", "TokenGeneration_NewPasswordChallenge"})
		for _, e := range events {
			want.Equal(w, e.Request["clientMetadata"], any(map[string]any{"x": "y"}))
		}
		w.gotTokens(w.bySRP("jane", rightPassword))
		want.Equal(w, w.ran(), append([]string{"PreAuthentication_Authentication"}, ends...))

		// Wrong passwords, and names that nobody has.
		want.Equal(w, w.byPassword("jane", "wrong").text, incorrect)
		want.Equal(w, w.ran(), []string{"PreAuthentication_Authentication"})
		want.Equal(w, w.byPassword("nobody", "wrong").text, nobodyThere)
		want.Equal(w, w.ran(), []string{"UserMigration_Authentication"})
		want.Equal(w, w.bySRP("nobody", "wrong").text, nobodyThere)
		want.Equal(w, len(w.ran()), 0)
		w.client(clientOf(allFlows, hiding))
		want.Equal(w, w.byPassword("nobody", "wrong").text, incorrect)
		events = w.happened()
		want.Equal(w, sourcesOf(events), []string{"UserMigration_Authentication", "PreAuthentication_Authentication"})
		want.Equal(w, events[1].Request["userNotFound"], any(true))
		want.Equal(w, events[1].UserName, "nobody")
		want.Equal(w, len(w.sent())+w.due(), 0)
	})
}

func sourcesOf(events []event) (list []string) {
	for _, e := range events {
		list = append(list, e.TriggerSource)
	}
	return list
}

// TestSignInFunctionsRefuse holds that a fault of each function refuses the sign-in, and leaves no family behind.
func TestSignInFunctionsRefuse(t *testing.T) {
	t.Parallel()
	onBoth(t, signInHooks, func(w *world) {
		w.client(allFlows)
		u := w.withPassword("jane", nil)
		for _, name := range []string{"PreAuthentication", "PostAuthentication", "PreTokenGeneration"} {
			w.answers(map[string]string{name: "no"})
			want.Equal(w, w.byPassword("jane", rightPassword).text, "UserLambdaValidationException: "+name+" failed with error no.")
			want.Equal(w, w.bySRP("jane", rightPassword).text, "UserLambdaValidationException: "+name+" failed with error no.")
		}
		w.answers(map[string]string{"PreTokenGeneration": `{"claimsOverrideDetails":7}`})
		want.Equal(w, w.byPassword("jane", rightPassword).text, "InvalidLambdaResponseException: Unrecognizable lambda output")
		want.Equal(w, len(w.journal(u.Sub)), 0)
		for errText, failure := range map[string]error{
			"UnexpectedLambdaException: Socket timeout while invoking Lambda function":                           trigger.ErrTimeout,
			"UnexpectedLambdaException: PreAuthentication invocation failed due to error AccessDeniedException.": &trigger.Unreachable{Reason: "AccessDeniedException"},
			"InvalidLambdaResponseException: Invalid lambda function output : Invalid JSON":                      trigger.ErrNotJSON,
			"InvalidLambdaResponseException: Unrecognizable lambda output":                                       trigger.ErrUnrecognizable,
		} {
			w.hooks.mu.Lock()
			w.hooks.answer = func(*trigger.Call) (json.RawMessage, error) { return nil, failure }
			w.hooks.mu.Unlock()
			want.Equal(w, w.byPassword("jane", rightPassword).text, errText)
		}
		// A function that refuses the end of a sign-in uses the session up.
		w.withPassword("new", nil, temporary)
		w.answers(nil)
		s := w.byPassword("new", rightPassword)
		w.answers(map[string]string{"PostAuthentication": "no"})
		next := map[string]string{"USERNAME": "new", "NEW_PASSWORD": "N3w-Passw0rd"}
		want.Equal(w, w.answer("NEW_PASSWORD_REQUIRED", s.Session, next).text, "UserLambdaValidationException: PostAuthentication failed with error no.")
		want.Equal(w, w.answer("NEW_PASSWORD_REQUIRED", s.Session, next).text, usedSession)
	})
}

// TestTokensOfFunctions holds that every way to tokens asks the function, and that its word counts.
func TestTokensOfFunctions(t *testing.T) {
	t.Parallel()
	settings := func(version string) func(*pool.Settings) {
		return func(s *pool.Settings) {
			s.Lambda.PreTokenGeneration = &pool.VersionedFunction{Version: version, ARN: "arn:aws:lambda:us-east-1:123456789012:function:f"}
		}
	}
	for version, response := range map[string]string{
		"V1_0": `{"claimsOverrideDetails":{"claimsToAddOrOverride":{"tenant":"42"},"groupOverrideDetails":{"groupsToOverride":["x"]}}}`,
		"V2_0": `{"claimsAndScopeOverrideDetails":{"idTokenGeneration":{"claimsToAddOrOverride":{"tenant":"42"}},"accessTokenGeneration":{"scopesToAdd":["a/b"]},"groupOverrideDetails":{"groupsToOverride":["x"]}}}`,
		"V3_0": `{"claimsAndScopeOverrideDetails":{"idTokenGeneration":{"claimsToAddOrOverride":{"tenant":"42"}},"accessTokenGeneration":{"scopesToAdd":["a/b"]},"groupOverrideDetails":{"groupsToOverride":["x"]}}}`,
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			onBoth(t, settings(version), func(w *world) {
				w.client(allFlows)
				w.withPassword("jane", nil)
				w.answers(map[string]string{"PreTokenGeneration": response})
				check := func(s signInReply) {
					w.Helper()
					w.gotTokens(s)
					r := s.AuthenticationResult
					want.Equal(w, w.claim(r.IdToken, "tenant"), any("42"))
					want.Equal(w, w.claim(r.IdToken, "cognito:groups"), any([]any{"x"}))
					want.Equal(w, w.claim(r.AccessToken, "cognito:groups"), any([]any{"x"}))
					scope := "aws.cognito.signin.user.admin a/b"
					if version == "V1_0" {
						scope = "aws.cognito.signin.user.admin"
					}
					want.Equal(w, w.claim(r.AccessToken, "scope"), any(scope))
					want.Contains(w, w.call("GetUser", `{"AccessToken":"`+r.AccessToken+`"}`), `"Username":"jane"`)
				}
				s := w.byPassword("jane", rightPassword)
				check(s)
				check(w.bySRP("jane", rightPassword))
				check(w.begin("REFRESH_TOKEN", map[string]string{"REFRESH_TOKEN": s.AuthenticationResult.RefreshToken}))
				w.client(rotating(0))
				s = w.byPassword("jane", rightPassword)
				check(w.readSignIn(w.call("GetTokensFromRefreshToken", `{"ClientId":"`+w.clientID+`","RefreshToken":"`+s.AuthenticationResult.RefreshToken+`"}`)))
			})
		})
	}
}

func TestMigrationAtSignIn(t *testing.T) {
	t.Parallel()
	const confirmed = `{"userAttributes":{"email":"jane@x.io","email_verified":"true"},"finalUserStatus":"CONFIRMED"}`
	const reset = `{"userAttributes":{"email":"jane@x.io","email_verified":"true"},"messageAction":"SUPPRESS"}`
	onBoth(t, both(withHook("UserMigration"), aliasPool), func(w *world) {
		legacy := w.client(allFlows)
		w.answers(map[string]string{"UserMigration": confirmed})
		s := w.beginWith("USER_PASSWORD_AUTH", `{"k":"v"}`, map[string]string{"USERNAME": "jane", "PASSWORD": "old password"})
		w.gotTokens(s)
		events := w.happened()
		want.Equal(w, sourcesOf(events), []string{"UserMigration_Authentication"})
		want.Equal(w, events[0].Request["password"], any("old password"))
		want.Equal(w, events[0].Request["validationData"], any(map[string]any{"k": "v"}))
		u := w.byName("jane")
		want.Equal(w, u.Status, user.Confirmed)
		want.Equal(w, u.Attributes, map[string]string{"email": "jane@x.io", "email_verified": "true"})
		want.Equal(w, sorted(w.journal(u.Sub)), []string{"InitiateAuth", "InitiateAuth email email_verified"})
		want.Equal(w, len(w.sent())+w.due(), 0)

		// From now on the user is one of the pool: the function is not asked again, and the typed password is the user's.
		w.gotTokens(w.bySRP("jane@x.io", "old password"))
		want.Equal(w, w.byPassword("jane", "other").text, incorrect)
		want.Equal(w, len(w.ran()), 0)

		// A user who has to set a password first.
		w.answers(map[string]string{"UserMigration": strings.ReplaceAll(reset, "jane", "joe")})
		want.Equal(w, w.byPassword("joe", "old password").text, "PasswordResetRequiredException: Password reset required for the user")
		want.Equal(w, w.byName("joe").Status, user.ResetRequired)

		// What the function does not know, and what it fails at.
		w.answers(map[string]string{"UserMigration": `{}`})
		want.Equal(w, w.byPassword("nobody", "x").text, nobodyThere)
		w.answers(map[string]string{"UserMigration": "no"})
		want.Equal(w, w.byPassword("nobody", "x").text, "UserNotFoundException: Exception migrating user in app client "+legacy.ID)
		w.client(clientOf(allFlows, hiding))
		want.Equal(w, w.byPassword("nobody", "x").text, incorrect)
		w.answers(map[string]string{"UserMigration": `{"userAttributes":{"unknown":"x"}}`})
		want.Equal(w, w.byPassword("nobody", "x").text, incorrect)

		// A user whose password is off is no name that nobody has.
		w.ran()
		w.addUser("off", nil, func(r *user.Record) { r.PasswordOff = true })
		want.Equal(w, w.byPassword("off", "x").text, incorrect)
		want.Equal(w, len(w.ran()), 0)
	})
}
