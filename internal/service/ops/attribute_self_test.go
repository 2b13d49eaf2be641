package ops_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/message"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const (
	unauthorized = "NotAuthorizedException: A client attempted to write unauthorized attribute"
	verifySource = notice.SourceVerifyAttribute
)

// self calls an operation with an access token and members behind it.
func (w *world) self(operation, token, members string) string {
	w.Helper()
	return w.call(operation, `{"AccessToken":"`+token+`"`+members+`}`)
}

// changes are the lines of the journal about a user but for the tokens that tests make.
func (w *world) changes(sub string) []string {
	w.Helper()
	var lines []string
	for _, line := range w.journal(sub) {
		if line != "IssueTokens" {
			lines = append(lines, line)
		}
	}
	return lines
}

// setSelf calls UpdateUserAttributes with attributes as list takes them.
func (w *world) setSelf(token, attributes string) string {
	w.Helper()
	return w.self("UpdateUserAttributes", token, `,"UserAttributes":`+list(attributes))
}

// verifySelf calls VerifyUserAttribute.
func (w *world) verifySelf(token, attribute, code string) string {
	w.Helper()
	return w.self("VerifyUserAttribute", token, fmt.Sprintf(`,"AttributeName":%q,"Code":%q`, attribute, code))
}

// askSelf calls GetUserAttributeVerificationCode.
func (w *world) askSelf(token, attribute string) string {
	w.Helper()
	return w.self("GetUserAttributeVerificationCode", token, fmt.Sprintf(`,"AttributeName":%q`, attribute))
}

// delivered is the answer about a message of the form "EMAIL jane@example.com source".
func delivered(line string) string {
	medium, rest, _ := strings.Cut(line, " ")
	to, _, _ := strings.Cut(rest, " ")
	attribute := "email"
	if medium == "SMS" {
		attribute = "phone_number"
	}
	b, _ := json.Marshal(struct{ Destination, DeliveryMedium, AttributeName string }{notice.Mask(notice.Medium(medium), to), medium, attribute})
	return string(b)
}

// forNoClient are attributes that no client may write, whatever its list says.
var forNoClient = []string{"sub", "identities", "email_verified", "phone_number_verified", "dev:custom:note"}

// TestUpdateUserAttributesVectors lets the user ask for what the administrator asks for in the vectors. The outcome is the
// same, but that flags and the like are not for a client, that the answer tells of the codes, and that some users have
// no token that is good.
func TestUpdateUserAttributesVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(vectorPool, v.pool), func(w *world) {
				u := w.addUser("u", v.attributes())
				token := w.access(u)
				if v.change != nil {
					after := u.Clone()
					v.change(after)
					w.update(func(tx store.Tx) error {
						before, err := tx.Users().BySub(u.PoolID, u.Sub)
						want.NoError(w, err)
						return tx.Users().Save(w.pool, before, after)
					})
					u = after
				}
				w.clock.Advance(time.Minute)
				body := v.body()
				expected, after, sent := v.want, v.after, v.sent
				if !strings.Contains(expected, "validation error") && !strings.HasPrefix(expected, "SerializationException") {
					var given []struct{ Name string }
					want.NoError(w, json.Unmarshal([]byte(body), &given))
					for _, a := range given {
						if slices.Contains(forNoClient, a.Name) && (a.Name != "identities" || w.pool.HadProvider) || a.Name == "identities" {
							expected = unauthorized
						}
					}
					switch {
					case u.Status == user.ResetRequired:
						expected = "PasswordResetRequiredException: Password reset required for the user"
					case u.Status == user.Unconfirmed:
						expected = "UserNotConfirmedException: User is not confirmed."
					case !u.Enabled:
						expected = "NotAuthorizedException: User is disabled."
					}
				}
				modified, entries := start.Add(time.Minute), 1
				if expected == "" {
					var codes []string
					for _, line := range sent {
						codes = append(codes, delivered(line))
					}
					expected = `{"CodeDeliveryDetailsList":[` + strings.Join(codes, ",") + `]}`
				} else {
					after, sent, modified, entries = v.attributes(), nil, u.Modified, 0
				}
				want.Equal(w, w.self("UpdateUserAttributes", token, `,"UserAttributes":`+body), expected)
				now := w.stored(u)
				want.Equal(w, now.Attributes, after)
				want.Equal(w, now.Modified, modified)
				want.Equal(w, []any{now.Status, now.Enabled}, []any{u.Status, u.Enabled})
				want.Equal(w, w.sent(), sent)
				want.Equal(w, w.ran(), nil)
				want.Equal(w, len(w.changes(u.Sub)), entries)
				want.Equal(w, w.due(), 0)
			})
		})
	}
}

func TestUpdateUserAttributesOrderAndAbsence(t *testing.T) {
	t.Parallel()
	for _, r := range []struct{ name, members, want string }{
		{"empty list", `,"UserAttributes":[]`, `{"CodeDeliveryDetailsList":[]}`},
		{"no list", ``, invalid("1 validation error detected: Value null at 'userAttributes' failed to satisfy constraint: Member must not be null")},
		{"permission before the schema", `,"UserAttributes":` + list("nope=1, email_verified=true"), unauthorized},
		{"permission before values", `,"UserAttributes":` + list("email=nope, sub=x"), unauthorized},
		{"permission before null values", `,"UserAttributes":[{"Name":"sub"}]`, unauthorized},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, vectorPool, func(w *world) {
				u := w.addUser("u", vectorUser)
				token := w.access(u)
				w.clock.Advance(time.Minute)
				want.Equal(w, w.self("UpdateUserAttributes", token, r.members), r.want)
				want.Equal(w, w.stored(u), u)
				want.Equal(w, w.changes(u.Sub), nil)
				want.Equal(w, w.sent(), nil)
			})
		})
	}
}

// TestSelfOperationsCheckTheToken holds that each of the operations looks at the token and its holder before anything else,
// and then changes nothing.
func TestSelfOperationsCheckTheToken(t *testing.T) {
	t.Parallel()
	save := func(change func(*user.Record)) func(w *world, u *user.Record) {
		return func(w *world, u *user.Record) {
			w.update(func(tx store.Tx) error {
				before, err := tx.Users().BySub(u.PoolID, u.Sub)
				want.NoError(w, err)
				after := before.Clone()
				change(after)
				return tx.Users().Save(w.pool, before, after)
			})
		}
	}
	named := `{"UserPoolId":"$pool","Username":"u"}`
	for _, r := range []struct {
		name string
		then func(w *world, u *user.Record)
		want string
	}{
		{"expired", func(w *world, _ *user.Record) { w.clock.Advance(time.Hour + time.Second) }, "NotAuthorizedException: Access Token has expired"},
		{"signed out", func(w *world, _ *user.Record) { want.Equal(w, w.call("AdminUserGlobalSignOut", named), "{}") }, "NotAuthorizedException: Access Token has been revoked"},
		{"deleted", func(w *world, _ *user.Record) { want.Equal(w, w.call("AdminDeleteUser", named), "") }, "UserNotFoundException: User does not exist."},
		{"disabled", save(func(r *user.Record) { r.Enabled = false }), "NotAuthorizedException: User is disabled."},
		{"reset required", save(func(r *user.Record) { r.Status = user.ResetRequired }), "PasswordResetRequiredException: Password reset required for the user"},
		{"unconfirmed", save(func(r *user.Record) { r.Status = user.Unconfirmed }), "UserNotConfirmedException: User is not confirmed."},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, vectorPool, func(w *world) {
				u := w.addUser("u", vectorUser)
				token := w.access(u)
				want.Contains(w, w.askSelf(token, "email"), "CodeDeliveryDetails")
				code := w.code()
				w.sent()
				r.then(w, u)
				entries := w.changes(u.Sub)
				for _, call := range [][2]string{
					{"UpdateUserAttributes", `,"UserAttributes":` + list("email_verified=true")},
					{"UpdateUserAttributes", `,"UserAttributes":` + list("email=b@x.io")},
					{"DeleteUserAttributes", `,"UserAttributeNames":["nope","email"]`},
					{"GetUserAttributeVerificationCode", `,"AttributeName":"nickname"`},
					{"GetUserAttributeVerificationCode", `,"AttributeName":"email"`},
					{"VerifyUserAttribute", `,"AttributeName":"nickname","Code":"1"`},
					{"VerifyUserAttribute", `,"AttributeName":"email","Code":"` + code + `"`},
				} {
					want.Equal(w, w.self(call[0], token, call[1]), r.want)
				}
				want.Equal(w, w.changes(u.Sub), entries)
				want.Equal(w, w.sent(), nil)
				w.view(func(v store.View) error {
					tally, err := v.Tallies().Get(w.pool.ID, u.Sub, verify.VerifyAttribute)
					want.Equal(w, tally, verify.Tally{})
					return err
				})
			})
		})
	}
	t.Run("client deleted", func(t *testing.T) {
		t.Parallel()
		onBoth(t, vectorPool, func(w *world) {
			u := w.addUser("u", vectorUser)
			c := w.addClient()
			token := w.signIn(u, c).Access.Reveal()
			want.Equal(w, w.call("DeleteUserPoolClient", `{"UserPoolId":"$pool","ClientId":"`+c.ID+`"}`), "")
			want.Equal(w, w.setSelf(token, "name=X"), "ResourceNotFoundException: User pool client "+c.ID+" does not exist.")
		})
	})
	for name, text := range map[string]string{"no token": "x", "three parts": "a.b.c"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, vectorPool, func(w *world) {
				want.Equal(w, w.setSelf(text, "name=X"), "NotAuthorizedException: Invalid Access Token")
			})
		})
	}
}

func TestClientsWriteWhatTheyMay(t *testing.T) {
	t.Parallel()
	writes := func(names ...string) func(*pool.Client) {
		return func(c *pool.Client) { c.Write = append([]string{}, names...) }
	}
	for _, r := range []struct {
		name        string
		client      func(*pool.Client)
		attribute   string
		set, delete string
	}{
		{"without a list", func(*pool.Client) {}, "custom:tier", `{"CodeDeliveryDetailsList":[]}`, "{}"},
		{"without a list, unknown", func(*pool.Client) {}, "custom:nope", invalid("user.custom:nope: Attribute does not exist in the schema.\n"), invalid("Invalid user attributes: user.custom:nope: Attribute does not exist in the schema.\n")},
		{"without a list, of the service", func(*pool.Client) {}, "cognito:mfa_enabled", invalid("user.cognito:mfa_enabled: Attribute does not exist in the schema.\n"), invalid("Invalid user attributes: user.cognito:mfa_enabled: Attribute does not exist in the schema.\n")},
		{"without a list, immutable", func(*pool.Client) {}, "custom:ref", invalid("user.custom:ref: Attribute cannot be updated.\n"), invalid("Invalid user attributes: user.custom:ref: Attribute cannot be updated.\n")},
		{"in the list", writes("name", "custom:tier"), "custom:tier", `{"CodeDeliveryDetailsList":[]}`, "{}"},
		{"not in the list", writes("name"), "custom:tier", unauthorized, unauthorized},
		{"in the list in another letter case", writes("name", "custom:tier"), "custom:Tier", unauthorized, unauthorized},
		{"unknown, with a list", writes("name"), "custom:nope", unauthorized, unauthorized},
		{"the address, not in the list", writes("name"), "email", unauthorized, unauthorized},
		{"flag", func(*pool.Client) {}, "email_verified", unauthorized, unauthorized},
		{"flag in the list", writes("email_verified", "phone_number_verified"), "email_verified", unauthorized, unauthorized},
		{"other flag in the list", writes("email_verified", "phone_number_verified"), "phone_number_verified", unauthorized, unauthorized},
		{"sub in the list", writes("sub"), "sub", unauthorized, unauthorized},
		{"identities in the list", writes("identities"), "identities", unauthorized, unauthorized},
		{"for developers", func(*pool.Client) {}, "dev:custom:note", unauthorized, unauthorized},
		{"for developers, in the list", writes("dev:custom:note"), "dev:custom:note", unauthorized, unauthorized},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, vectorPool, func(w *world) {
				attributes := with("custom:tier", "old", "dev:custom:note", "kept", "phone_number", "+1555", "phone_number_verified", "false")
				u := w.addUser("u", attributes)
				token := w.signIn(u, w.addClient(r.client)).Access.Reveal()
				value := map[string]string{"custom:tier": "new", "email_verified": "true", "phone_number_verified": "true", "email": "b@x.io"}[r.attribute]
				if value == "" {
					value = "x"
				}
				want.Equal(w, w.setSelf(token, r.attribute+"="+value), r.set)
				done := 0
				if strings.HasPrefix(r.set, "{") {
					done++
					attributes = maps.Clone(attributes)
					attributes[r.attribute] = value
				}
				want.Equal(w, w.stored(u).Attributes, attributes)
				want.Equal(w, w.self("DeleteUserAttributes", token, `,"UserAttributeNames":["`+r.attribute+`"]`), r.delete)
				if r.delete == "{}" {
					done++
					delete(attributes, r.attribute)
				}
				want.Equal(w, w.stored(u).Attributes, attributes)
				want.Equal(w, len(w.changes(u.Sub)), done)
				want.Equal(w, w.sent(), nil)
			})
		})
	}
}

func TestDeleteUserAttributes(t *testing.T) {
	t.Parallel()
	all := with("nickname", "n", "custom:tier", "gold", "phone_number", "+1555", "phone_number_verified", "true")
	for _, r := range []struct {
		name, names string
		want        string // "" means {}
		after       map[string]string
		journal     string
	}{
		{name: "some", names: `["nickname","custom:tier"]`, after: with("phone_number", "+1555", "phone_number_verified", "true"), journal: "DeleteUserAttributes custom:tier nickname"},
		{name: "what the user lacks", names: `["website"]`, after: all, journal: "DeleteUserAttributes website"},
		{name: "an address, with its flag", names: `["email"]`, after: map[string]string{"name": "N", "nickname": "n", "custom:tier": "gold", "phone_number": "+1555", "phone_number_verified": "true"}, journal: "DeleteUserAttributes email"},
		{name: "none", names: `[]`, after: all},
		{name: "unknown", names: `["nope","nickname"]`, want: invalid("Invalid user attributes: user.nope: Attribute does not exist in the schema.\n")},
		{name: "required", names: `["nickname","name"]`, want: invalid("Invalid user attributes: name.formatted: The attribute name.formatted is required")},
		{name: "immutable", names: `["custom:ref"]`, want: invalid("Invalid user attributes: user.custom:ref: Attribute cannot be updated.\n")},
		{name: "a flag", names: `["nickname","email_verified"]`, want: unauthorized},
		{name: "no list", names: `null`, want: invalid("1 validation error detected: Value null at 'userAttributeNames' failed to satisfy constraint: Member must not be null")},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(vectorPool, aliasPool), func(w *world) {
				u := w.addUser("u", all)
				token := w.access(u)
				w.clock.Advance(time.Minute)
				expected, after, modified, entries := "{}", r.after, start.Add(time.Minute), []string{r.journal}
				if r.want != "" {
					expected, after = r.want, all
				}
				if r.journal == "" {
					modified, entries = u.Modified, nil
				}
				want.Equal(w, w.self("DeleteUserAttributes", token, `,"UserAttributeNames":`+r.names), expected)
				now := w.stored(u)
				want.Equal(w, now.Attributes, after)
				want.Equal(w, now.Modified, modified)
				want.Equal(w, w.changes(u.Sub), entries)
				want.Equal(w, w.owner(user.Emails, "a@x.io") == "u", after["email"] != "")
				want.Equal(w, w.sent(), nil)
				want.Equal(w, w.ran(), nil)
			})
		})
	}
}

func TestVerifyUserAttribute(t *testing.T) {
	t.Parallel()
	t.Run("an address that was changed", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, withHook("CustomMessage"), withHook("PostConfirmation")), func(w *world) {
			u := w.addUser("u", vectorUser)
			token := w.access(u)
			want.Equal(w, w.setSelf(token, "email=b@x.io"), `{"CodeDeliveryDetailsList":[{"Destination":"b***@x***","DeliveryMedium":"EMAIL","AttributeName":"email"}]}`)
			want.Equal(w, w.ran(), []string{updateSource})
			code := w.code()
			w.sent()
			w.clock.Advance(time.Minute)
			want.Equal(w, w.verifySelf(token, "email", code), "{}")
			want.Equal(w, w.stored(u).Attributes, with("email", "b@x.io"))
			want.Equal(w, w.stored(u).Modified, start.Add(time.Minute))
			want.Equal(w, w.changes(u.Sub), []string{"UpdateUserAttributes email", "VerifyUserAttribute email_verified"})
			want.Equal(w, w.ran(), nil)
			want.Equal(w, w.sent(), nil)
			want.Equal(w, w.verifySelf(token, "email", code), expiredCode) // it is used up
			want.Equal(w, w.stored(u).Attributes, with("email", "b@x.io"))
		})
	})
	t.Run("V42 a value that waited", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, aliasPool, keepOriginal), func(w *world) {
			u := w.addUser("u", vectorUser)
			token := w.access(u)
			want.Contains(w, w.setSelf(token, "email=b@x.io"), `"b***@x***"`)
			want.Equal(w, w.stored(u).Attributes, vectorUser)
			want.Equal(w, []string{w.owner(user.Emails, "a@x.io"), w.owner(user.Emails, "b@x.io")}, []string{"u", ""})
			w.clock.Advance(time.Second)
			want.Equal(w, w.verifySelf(token, "email", w.code()), "{}")
			now := w.stored(u)
			want.Equal(w, now.Attributes, with("email", "b@x.io"))
			want.Equal(w, len(now.Pending), 0)
			want.Equal(w, []string{w.owner(user.Emails, "a@x.io"), w.owner(user.Emails, "b@x.io")}, []string{"", "u"})
			want.Equal(w, w.changes(u.Sub), []string{"UpdateUserAttributes email", "VerifyUserAttribute email email_verified"})
		})
	})
	t.Run("V42 a value that an administrator asked for", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, keepOriginal), func(w *world) {
			u := w.addUser("u", map[string]string{"name": "N"})
			want.Equal(w, w.update1("u", list("email=b@x.io")), "{}")
			want.Equal(w, w.verifySelf(w.access(u), "email", w.code()), "{}")
			want.Equal(w, w.stored(u).Attributes, with("email", "b@x.io"))
		})
	})
	t.Run("V44 the code of a value that was replaced", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, keepOriginal), func(w *world) {
			u := w.addUser("u", vectorUser)
			token := w.access(u)
			w.setSelf(token, "email=b@x.io")
			first := w.code()
			w.setSelf(token, "email=c@x.io")
			second := w.code()
			if first != second { // one time in a million they are the same
				want.Equal(w, w.verifySelf(token, "email", first), wrongCode)
			}
			want.Equal(w, w.stored(u).Attributes, vectorUser)
			want.Equal(w, w.verifySelf(token, "email", second), "{}")
			want.Equal(w, w.stored(u).Attributes, with("email", "c@x.io"))
		})
	})
	t.Run("no code was asked for", func(t *testing.T) {
		t.Parallel()
		onBoth(t, vectorPool, func(w *world) {
			u := w.addUser("u", vectorUser)
			want.Equal(w, w.verifySelf(w.access(u), "email", "123456"), expiredCode)
			want.Equal(w, w.verifySelf(w.access(u), "phone_number", "123456"), expiredCode)
			want.Equal(w, w.stored(u), u)
		})
	})
	t.Run("the code lives 24 hours", func(t *testing.T) {
		t.Parallel()
		onBoth(t, vectorPool, func(w *world) {
			u := w.addUser("u", with("email_verified", "false"))
			w.askSelf(w.access(u), "email")
			code := w.code()
			w.clock.Advance(24 * time.Hour)
			want.Equal(w, w.verifySelf(w.access(u), "email", code), expiredCode)
			want.Equal(w, w.stored(u), u)
			w.askSelf(w.access(u), "email")
			code = w.code()
			w.clock.Advance(24*time.Hour - time.Second)
			want.Equal(w, w.verifySelf(w.access(u), "email", code), "{}")
		})
	})
	t.Run("purposes do not mix", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, phoneToo), func(w *world) {
			u := w.addUser("u", with("phone_number", "+1555", "phone_number_verified", "false"))
			token := w.access(u)
			w.askSelf(token, "email")
			code := w.code()
			want.Equal(w, w.verifySelf(token, "phone_number", code), expiredCode)
			w.update(func(tx store.Tx) error {
				return tx.Codes().Put(verify.Code{PoolID: u.PoolID, Sub: u.Sub, Purpose: verify.ForgotPassword, Target: "+1555", Plain: secret.New("999999"), Created: start, Expires: start.Add(time.Hour)})
			})
			want.Equal(w, w.verifySelf(token, "phone_number", "999999"), expiredCode)
			want.Equal(w, w.stored(u), u)
		})
	})
	t.Run("an alias of somebody else is not taken over", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, aliasPool), func(w *world) {
			u, v := w.addUser("u", vectorUser), w.addUser("v", map[string]string{"name": "V"})
			token := w.access(v)
			w.setSelf(token, "email=a@x.io")
			code := w.code()
			entries := w.changes(v.Sub)
			before := w.stored(v)
			for range 2 { // the code was right, and still is
				want.Equal(w, w.verifySelf(token, "email", code), "AliasExistsException: An account with the email already exists.")
			}
			want.Equal(w, w.stored(u), u)
			want.Equal(w, w.stored(v), before)
			want.Equal(w, w.changes(v.Sub), entries)
			want.Equal(w, w.owner(user.Emails, "a@x.io"), "u")
			// The owner gives it up.
			want.Equal(w, w.setSelf(w.access(u), "email=free@x.io"), `{"CodeDeliveryDetailsList":[{"Destination":"f***@x***","DeliveryMedium":"EMAIL","AttributeName":"email"}]}`)
			want.Equal(w, w.verifySelf(token, "email", code), "{}")
			want.Equal(w, w.owner(user.Emails, "a@x.io"), "v")
			w.view(func(s store.View) error {
				tally, err := s.Tallies().Get(w.pool.ID, v.Sub, verify.VerifyAttribute)
				want.Equal(w, []int{tally.Spent, tally.Failures}, []int{3, 0})
				return err
			})
		})
	})
	t.Run("a sign-in name that somebody else has taken meanwhile", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, usernameAttributes, keepOriginal), func(w *world) {
			u := w.addUser("s1", vectorUser, byEmail)
			token := w.access(u)
			w.setSelf(token, "email=b@x.io")
			code := w.code()
			w.addUser("s2", map[string]string{"name": "V", "email": "b@x.io"}, byEmail)
			want.Equal(w, w.verifySelf(token, "email", code), "AliasExistsException: An account with the given email already exists.")
			want.Equal(w, w.owner(user.Emails, "a@x.io"), "s1")
			want.Equal(w, w.owner(user.Emails, "b@x.io"), "s2")
		})
	})
	t.Run("the phone number", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, phoneToo), func(w *world) {
			u := w.addUser("u", vectorUser)
			token := w.access(u)
			want.Equal(w, w.setSelf(token, "phone_number=+15555559934"), `{"CodeDeliveryDetailsList":[{"Destination":"+*******9934","DeliveryMedium":"SMS","AttributeName":"phone_number"}]}`)
			w.sms.mu.Lock()
			code := w.sms.got[0].Code.Reveal()
			w.sms.mu.Unlock()
			want.Equal(w, w.verifySelf(token, "phone_number", code), "{}")
			want.Equal(w, w.stored(u).Attributes, with("phone_number", "+15555559934", "phone_number_verified", "true"))
		})
	})
	for _, attribute := range []string{"nickname", "email_verified", "Email", "sub"} {
		t.Run("not to be verified: "+attribute, func(t *testing.T) {
			t.Parallel()
			onBoth(t, vectorPool, func(w *world) {
				u := w.addUser("u", vectorUser)
				const text = "Invalid attribute name. Only phone_number and email can be verified."
				want.Equal(w, w.verifySelf(w.access(u), attribute, "123456"), invalid(text))
				want.Equal(w, w.askSelf(w.access(u), attribute), invalid(text))
				want.Equal(w, w.changes(u.Sub), nil)
			})
		})
	}
}

func TestGetUserAttributeVerificationCode(t *testing.T) {
	t.Parallel()
	toA := `{"CodeDeliveryDetails":{"Destination":"a***@x***","DeliveryMedium":"EMAIL","AttributeName":"email"}}`
	for _, r := range []struct {
		name      string
		pool      func(*pool.Settings)
		user      map[string]string
		pending   map[string]user.Pending
		attribute string
		want      string
		sent      []string
	}{
		{name: "unverified", user: with("email_verified", "false"), attribute: "email", want: toA, sent: []string{"EMAIL a@x.io " + verifySource}},
		{name: "verified already", user: vectorUser, attribute: "email", want: toA, sent: []string{"EMAIL a@x.io " + verifySource}},
		{name: "not auto-verified", pool: func(s *pool.Settings) { s.AutoVerified = nil }, user: vectorUser, attribute: "email", want: toA, sent: []string{"EMAIL a@x.io " + verifySource}},
		{name: "a value that waits", pool: keepOriginal, user: vectorUser, pending: map[string]user.Pending{"email": {Value: "b@x.io", Requested: start}}, attribute: "email",
			want: `{"CodeDeliveryDetails":{"Destination":"b***@x***","DeliveryMedium":"EMAIL","AttributeName":"email"}}`, sent: []string{"EMAIL b@x.io " + verifySource}},
		{name: "a phone number", pool: phoneToo, user: with("phone_number", "+15555559934"), attribute: "phone_number",
			want: `{"CodeDeliveryDetails":{"Destination":"+*******9934","DeliveryMedium":"SMS","AttributeName":"phone_number"}}`, sent: []string{"SMS +15555559934 " + verifySource}},
		{name: "no email address", user: map[string]string{"name": "N"}, attribute: "email", want: invalid("User does not have a valid registered email address")},
		{name: "no phone number", pool: phoneToo, user: vectorUser, attribute: "phone_number", want: invalid("User does not have a valid registered phone number")},
		{name: "no way to send SMS", user: with("phone_number", "+1555"), attribute: "phone_number", want: invalid("User pool does not have SMS configuration to send messages.")},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(vectorPool, r.pool), func(w *world) {
				u := w.addUser("u", r.user, func(u *user.Record) { u.Pending = r.pending })
				token := w.access(u)
				w.clock.Advance(time.Minute)
				want.Equal(w, w.askSelf(token, r.attribute), r.want)
				want.Equal(w, w.stored(u), u) // nothing of the user changes
				want.Equal(w, w.sent(), r.sent)
				want.Equal(w, w.ran(), nil)
				var entries []string
				if r.sent != nil {
					entries = []string{"GetUserAttributeVerificationCode " + r.attribute}
				}
				want.Equal(w, w.changes(u.Sub), entries)
				w.view(func(v store.View) error {
					tally, err := v.Tallies().Get(w.pool.ID, u.Sub, verify.AskAttribute)
					want.Equal(w, tally.Spent, len(r.sent))
					return err
				})
			})
		})
	}
	t.Run("a new code voids the former", func(t *testing.T) {
		t.Parallel()
		onBoth(t, vectorPool, func(w *world) {
			u := w.addUser("u", with("email_verified", "false"))
			token := w.access(u)
			w.askSelf(token, "email")
			first := w.code()
			w.askSelf(token, "email")
			second := w.code()
			if first != second {
				want.Equal(w, w.verifySelf(token, "email", first), wrongCode)
			}
			want.Equal(w, w.verifySelf(token, "email", second), "{}")
		})
	})
	t.Run("a changed value voids the code", func(t *testing.T) {
		t.Parallel()
		onBoth(t, func(s *pool.Settings) {}, func(w *world) {
			u := w.addUser("u", map[string]string{"email": "a@x.io", "email_verified": "false"})
			token := w.access(u)
			w.askSelf(token, "email")
			code := w.code()
			want.Equal(w, w.setSelf(token, "email=b@x.io"), `{"CodeDeliveryDetailsList":[]}`)
			want.Equal(w, w.verifySelf(token, "email", code), expiredCode)
			w.askSelf(token, "email")
			code = w.code()
			want.Equal(w, w.self("DeleteUserAttributes", token, `,"UserAttributeNames":["email"]`), "{}")
			want.Equal(w, w.verifySelf(token, "email", code), expiredCode)
			want.Equal(w, w.update1("u", list("email=b@x.io")), "{}")
			want.Equal(w, w.verifySelf(token, "email", code), expiredCode)
			want.Equal(w, w.stored(u).Attributes, map[string]string{"email": "b@x.io", "email_verified": "false"})
		})
	})
}

// TestSelfMessages holds what functions are told, by whom they are called, and that metadata goes to them alone.
func TestSelfMessages(t *testing.T) {
	t.Parallel()
	for _, r := range []struct{ operation, members, source, email string }{
		{"UpdateUserAttributes", `"UserAttributes":` + list("email=b@x.io"), updateSource, "b@x.io"},
		{"GetUserAttributeVerificationCode", `"AttributeName":"email"`, verifySource, "a@x.io"},
	} {
		t.Run(r.operation, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(vectorPool, withHook("CustomMessage")), func(w *world) {
				u := w.addUser("u", with("email_verified", "false"))
				c := w.addClient()
				want.Contains(w, w.self(r.operation, w.signIn(u, c).Access.Reveal(), `,"ClientMetadata":{"k":"v"},`+r.members), "***")
				w.hooks.mu.Lock()
				e := w.hooks.events[0]
				w.hooks.mu.Unlock()
				want.Equal(w, []string{e.TriggerSource, e.UserName, e.CallerContext["clientId"]}, []string{r.source, "u", c.ID})
				want.Equal(w, e.Request["clientMetadata"], any(map[string]any{"k": "v"}))
				want.Equal(w, e.Request["codeParameter"], any("{####}"))
				want.Equal(w, e.Request["usernameParameter"], any(nil))
				attributes := e.Request["userAttributes"].(map[string]any)
				want.Equal(w, []any{attributes["email"], attributes["email_verified"], attributes["sub"]}, []any{r.email, "false", u.Sub})
				want.Equal(w, w.ran(), []string{r.source})
				want.Equal(w, w.sent(), []string{"EMAIL " + r.email + " " + r.source})
			})
		})
	}
}

// TestSelfMessageFaults holds what the caller reads when a code cannot be sent, and that the change and the code stand.
func TestSelfMessageFaults(t *testing.T) {
	t.Parallel()
	refuse := func(kind message.Kind) error { return &message.Refusal{Kind: kind, Cause: errors.New("no")} }
	for _, r := range []struct {
		name      string
		attribute string
		fn, email error
		sms       error
		answer    string
		want      string
	}{
		{name: "function fails", attribute: "email", fn: &trigger.FunctionError{Message: "boom"}, want: "UserLambdaValidationException: CustomMessage failed with error boom."},
		{name: "function cannot be reached", attribute: "email", fn: &trigger.Unreachable{Reason: "AccessDeniedException"}, want: "UnexpectedLambdaException: CustomMessage invocation failed due to error AccessDeniedException."},
		{name: "function answers nonsense", attribute: "email", answer: `{"emailMessage":5}`, want: "InvalidLambdaResponseException: Unrecognizable lambda output"},
		{name: "recipient", attribute: "email", email: refuse(message.Recipient), want: "CodeDeliveryFailureException: Unable to deliver message"},
		{name: "recipient of SMS", attribute: "phone_number", sms: refuse(message.Recipient), want: "CodeDeliveryFailureException: Unable to deliver message"},
		{name: "identity", attribute: "email", email: refuse(message.EmailIdentity), want: "InvalidEmailRoleAccessPolicyException: Cognito is not allowed to use your email identity"},
		{name: "role without trust", attribute: "phone_number", sms: refuse(message.SmsRoleTrust), want: "InvalidSmsRoleTrustRelationshipException: Role does not have a trust relationship allowing Cognito to assume the role"},
		{name: "role without permission", attribute: "phone_number", sms: refuse(message.SmsRoleAccess), want: "InvalidSmsRoleAccessPolicyException: Role does not have permission to publish with SNS"},
	} {
		for _, operation := range []string{"UpdateUserAttributes", "GetUserAttributeVerificationCode"} {
			t.Run(operation+"/"+r.name, func(t *testing.T) {
				t.Parallel()
				hook := func(*pool.Settings) {}
				if r.fn != nil || r.answer != "" {
					hook = withHook("CustomMessage")
				}
				onBoth(t, both(vectorPool, phoneToo, hook), func(w *world) {
					attributes := with("phone_number", "+1555", "phone_number_verified", "false", "email_verified", "false")
					u := w.addUser("u", attributes)
					w.hooks.answer = func(*trigger.Call) (json.RawMessage, error) { return json.RawMessage(r.answer), r.fn }
					w.email.refuse, w.sms.refuse = r.email, r.sms
					members, after := `,"AttributeName":"`+r.attribute+`"`, attributes
					if operation == "UpdateUserAttributes" {
						value := map[string]string{"email": "b@x.io", "phone_number": "+1666"}[r.attribute]
						members, after = `,"UserAttributes":`+list(r.attribute+"="+value), maps.Clone(attributes)
						after[r.attribute] = value
					}
					want.Equal(w, w.self(operation, w.access(u), members), r.want)
					want.Equal(w, w.stored(u).Attributes, after)
					want.Equal(w, w.changes(u.Sub), []string{operation + " " + r.attribute})
					want.Equal(w, w.sent(), nil)
					want.Equal(w, w.due(), 0)
					w.view(func(v store.View) error {
						code, err := v.Codes().Get(w.pool.ID, u.Sub, verify.ForAttribute(r.attribute))
						want.Equal(w, code.Target, after[r.attribute])
						return err
					})
				})
			})
		}
	}
}

// TestSelfAliases holds that no alias moves by what its claimant says alone.
func TestSelfAliases(t *testing.T) {
	t.Parallel()
	t.Run("alias pool", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, aliasPool), func(w *world) {
			u, v := w.addUser("u", vectorUser), w.addUser("v", map[string]string{"name": "V"})
			want.Contains(w, w.setSelf(w.access(v), "email=a@x.io"), `"a***@x***"`)
			want.Equal(w, w.stored(u), u)
			want.Equal(w, w.owner(user.Emails, "a@x.io"), "u")
			want.Equal(w, w.setSelf(w.access(v), "preferred_username=u"), "AliasExistsException: An account with the given preferred_username already exists.")
			want.Equal(w, w.setSelf(w.access(v), "preferred_username=w"), `{"CodeDeliveryDetailsList":[]}`)
			want.Equal(w, w.owner(user.Names, "w"), "v")
			// One's own alias ends with the change.
			want.Contains(w, w.setSelf(w.access(u), "email=c@x.io"), `"c***@x***"`)
			want.Equal(w, w.owner(user.Emails, "a@x.io"), "")
		})
	})
	t.Run("sign-in names", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, usernameAttributes), func(w *world) {
			w.addUser("s1", vectorUser, byEmail)
			v := w.addUser("s2", map[string]string{"name": "V", "email": "v@x.io"}, byEmail)
			token := w.access(v)
			want.Equal(w, w.setSelf(token, "email=a@x.io"), "AliasExistsException: An account with the given email already exists.")
			want.Equal(w, w.setSelf(token, "email="), invalid("Invalid user attributes: emails: The attribute emails is required"))
			want.Equal(w, w.stored(v), v)
			want.Contains(w, w.setSelf(token, "email=b@x.io"), `"b***@x***"`)
			want.Equal(w, []string{w.owner(user.Emails, "v@x.io"), w.owner(user.Emails, "b@x.io")}, []string{"", "s2"})
		})
	})
}

// TestSelfAttempts holds the budgets of both operations, which neither new codes nor new sessions give back, and how they
// come again.
func TestSelfAttempts(t *testing.T) {
	t.Parallel()
	t.Run("asking", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, phoneToo), func(w *world) {
			u := w.addUser("u", with("phone_number", "+1555"))
			for i := range 7 {
				got := w.askSelf(w.access(u), []string{"email", "phone_number"}[i%2])
				if i < 5 {
					want.Contains(w, got, "CodeDeliveryDetails")
				} else {
					want.Equal(w, got, tooManyAttempts)
				}
			}
			want.Equal(w, len(w.sent()), 5)
			want.Equal(w, len(w.changes(u.Sub)), 5)
			w.clock.Advance(time.Hour)
			want.Contains(w, w.askSelf(w.access(u), "email"), "CodeDeliveryDetails")
		})
	})
	t.Run("verifying", func(t *testing.T) {
		t.Parallel()
		onBoth(t, vectorPool, func(w *world) {
			u := w.addUser("u", with("email_verified", "false"))
			for i := range 15 {
				if i%4 == 0 {
					want.Contains(w, w.askSelf(w.access(u), "email"), "CodeDeliveryDetails") // a new code
				}
				want.Equal(w, w.verifySelf(w.access(u), "email", wrong(w.code())), wrongCode) // a new session
			}
			want.Equal(w, w.verifySelf(w.access(u), "email", w.code()), tooManyAttempts)
			want.Equal(w, w.verifySelf(w.access(u), "phone_number", "1"), tooManyAttempts)
			want.Equal(w, w.stored(u), u)
			w.clock.Advance(time.Hour)
			want.Equal(w, w.verifySelf(w.access(u), "email", w.code()), "{}")
		})
	})
	t.Run("a hundred failures in a row", func(t *testing.T) {
		t.Parallel()
		onBoth(t, vectorPool, func(w *world) {
			u := w.addUser("u", with("email_verified", "false"))
			w.askSelf(w.access(u), "email")
			for i := range 100 {
				if i%15 == 0 && i > 0 {
					w.clock.Advance(time.Hour)
				}
				want.Equal(w, w.verifySelf(w.access(u), "email", wrong(w.code())), wrongCode)
			}
			w.clock.Advance(time.Hour)
			want.Equal(w, w.verifySelf(w.access(u), "email", w.code()), tooManyAttempts)
			w.askSelf(w.access(u), "email")
			w.clock.Advance(20 * time.Hour)
			want.Equal(w, w.verifySelf(w.access(u), "email", w.code()), tooManyAttempts)
			want.Equal(w, w.stored(u), u)
			// An administrator, but not any change of his, lets the user try again.
			want.Equal(w, w.update1("u", list("custom:tier=gold")), "{}")
			want.Equal(w, w.verifySelf(w.access(u), "email", w.code()), tooManyAttempts)
			want.Equal(w, w.update1("u", list("email_verified=false")), "{}")
			want.Equal(w, w.verifySelf(w.access(u), "email", w.code()), "{}")
		})
	})
	t.Run("failures before a success do not count", func(t *testing.T) {
		t.Parallel()
		onBoth(t, vectorPool, func(w *world) {
			u := w.addUser("u", with("email_verified", "false"))
			w.askSelf(w.access(u), "email")
			for range 3 {
				want.Equal(w, w.verifySelf(w.access(u), "email", wrong(w.code())), wrongCode)
			}
			want.Equal(w, w.verifySelf(w.access(u), "email", w.code()), "{}")
			w.view(func(v store.View) error {
				tally, err := v.Tallies().Get(w.pool.ID, u.Sub, verify.VerifyAttribute)
				want.Equal(w, []int{tally.Spent, tally.Failures}, []int{4, 0})
				return err
			})
		})
	})
}
