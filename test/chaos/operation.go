//go:build linux

package chaos

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Operation is a way in which the load calls an operation of the API. A row of its own in the table is all that a new one needs.
type Operation struct {
	Name   string // of the API
	Weight int    // how often it is drawn, relative to the others
	// Draw makes the next call of a writer. False: the writer has nothing yet to do that to.
	Draw func(w *Writer) (Call, bool)
}

// Call is one request with what its success means.
type Call struct {
	Input  map[string]any
	Effect Effect
	// Refused are the codes by which the call may be refused though nothing is wrong with the server.
	Refused []string
	// Must says that a code of Refused is the only right answer.
	Must bool
	// Check looks at the answer; its error says what is not true in it. Nil: there is nothing to look at.
	Check func(answer []byte) error
	// Made reads from the answer what the server calls the thing that was made. Nil: nothing is made that has such a name.
	Made func(answer []byte) (string, error)
}

// The limits of what a writer owns.
const (
	ownUsers   = 5 // users of a writer
	ownClients = 3
	ownGroups  = 2 // that come and go
	// ownAccounts is how many accounts are linked to a user.
	ownAccounts = 3
	taggers     = 2 // the first writers tag the shared pool
	settlers    = 4 // the first writers own a pool each, whose settings they change
	contested   = 6 // addresses that all writers take from each other
)

// Operations is the table.
func Operations() []Operation {
	return append(SignIns(), []Operation{
		{"AdminCreateUser", 5, createUser},
		{"AdminCreateUser", 1, createTaken},
		{"AdminCreateUser", 2, createContender},
		{"AdminUpdateUserAttributes", 10, markUser},
		{"AdminUpdateUserAttributes", 4, verifyAddress},
		{"AdminUpdateUserAttributes", 4, moveAlias},
		{"AdminUpdateUserAttributes", 3, preferName},
		{"AdminUpdateUserAttributes", 4, contend},
		{"AdminUpdateUserAttributes", 1, updateUnknown},
		{"AdminDeleteUserAttributes", 2, unmarkUser},
		{"AdminDeleteUserAttributes", 1, dropAddress},
		{"AdminSetUserPassword", 1, setPassword},
		{"AdminEnableUser", 1, func(w *Writer) (Call, bool) { return enable(w, true) }},
		{"AdminDisableUser", 1, func(w *Writer) (Call, bool) { return enable(w, false) }},
		{"AdminSetUserSettings", 1, setOption},
		{"AdminSetUserMFAPreference", 1, preferFactor},
		{"AdminUserGlobalSignOut", 1, signOut},
		{"AdminDeleteUser", 1, deleteUser},
		{"AdminGetUser", 5, getUser},
		{"ListUsers", 2, listUsers},
		{"CreateGroup", 2, createGroup},
		{"UpdateGroup", 1, updateGroup},
		{"DeleteGroup", 1, deleteGroup},
		{"AdminAddUserToGroup", 3, joinGroup},
		{"AdminRemoveUserFromGroup", 1, leaveGroup},
		{"ListUsersInGroup", 1, listMembers},
		{"CreateResourceServer", 2, createServer},
		{"UpdateResourceServer", 2, updateServer},
		{"DeleteResourceServer", 1, deleteServer},
		{"AdminLinkProviderForUser", 2, linkAccount},
		{"AdminDisableProviderForUser", 1, unlinkAccount},
		{"SignUp", 2, signUp},
		{"SignUp", 1, signUpTaken},
		{"AdminUpdateUserAttributes", 1, giveAddress},
		{"ResendConfirmationCode", 1, resendCode},
		{"ConfirmSignUp", 2, confirmSignUp},
		{"AdminConfirmSignUp", 1, confirmUnproven},
		{"AdminDeleteUser", 1, deleteNewcomer},
		{"AdminCreateUser", 1, createForgetful},
		{"AdminSetUserPassword", 1, settlePassword},
		{"AdminUpdateUserAttributes", 1, freshAddress},
		{"ForgotPassword", 2, forgotPassword},
		{"AdminResetUserPassword", 1, resetPassword},
		{"ConfirmForgotPassword", 2, recoverPassword},
		{"AdminDeleteUser", 1, deleteForgetful},
		{"UpdateUserAttributes", 3, changeOwn},
		{"VerifyUserAttribute", 3, verifyOwn},
		{"DeleteUserAttributes", 1, unmarkOwn},
		{"GetUser", 1, getOwn},
		{"GlobalSignOut", 1, signOutOwn},
		{"DeleteUser", 1, deleteOwn},
		{"TagResource", 1, tag},
		{"UntagResource", 1, untag},
		{"UpdateUserPool", 2, updatePool},
		{"CreateUserPoolClient", 2, createClient},
		{"UpdateUserPoolClient", 2, updateClient},
		{"DeleteUserPoolClient", 1, deleteClient},
	}...)
}

// attribute is an entry of UserAttributes.
type attribute struct{ Name, Value string }

func attributes(set map[string]string) []attribute {
	var list []attribute
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if name != fieldSub && name != fieldStatus && name != fieldEnabled && name != fieldOption && name != fieldFactor && name != fieldCode && name != fieldGroup && !strings.HasPrefix(name, fieldAccount) {
			list = append(list, attribute{name, set[name]})
		}
	}
	return list
}

// about makes a call about a user of the writer.
func (w *Writer) about(object string, e Effect, input map[string]any) Call {
	e.Object, e.Pool, e.Sub = object, w.Pool, w.model[object][fieldSub]
	if input == nil {
		input = map[string]any{}
	}
	input["UserPoolId"], input["Username"] = w.Pool, userName(object)
	return Call{Input: input, Effect: e}
}

// update makes an AdminUpdateUserAttributes of a drawn user, given the attributes and what else success means.
func (w *Writer) update(object string, set map[string]string, e Effect) Call {
	input := map[string]any{"UserAttributes": attributes(set)}
	e.Kind = Change
	if e.Set == nil {
		e.Set = map[string]string{}
	}
	maps.Copy(e.Set, set)
	return w.about(object, e, input)
}

func createUser(w *Writer) (Call, bool) {
	if len(w.objects("user:"+w.prefix())) >= ownUsers {
		return Call{}, false
	}
	mark, address := w.unique("m"), w.unique("a")+"@example.com"
	set := map[string]string{"nickname": mark, "custom:mark": mark, "email": address}
	e := Effect{}
	input := map[string]any{"TemporaryPassword": "Temporary-1"}
	if w.rand.IntN(2) == 0 {
		input["DesiredDeliveryMediums"], e.Mail = []string{"EMAIL"}, address
	} else {
		input["MessageAction"], set["email_verified"] = "SUPPRESS", "true"
	}
	input["UserAttributes"] = attributes(set)
	return w.create("user:"+w.unique(w.prefix()), set, e, input), true
}

// create makes an AdminCreateUser.
func (w *Writer) create(object string, set map[string]string, e Effect, input map[string]any) Call {
	e.Kind, e.Set = Create, maps.Clone(set)
	e.Set[fieldStatus], e.Set[fieldEnabled] = "FORCE_CHANGE_PASSWORD", "true"
	c := w.about(object, e, input)
	c.Made = func(answer []byte) (string, error) {
		var created struct{ User json.RawMessage }
		if err := json.Unmarshal(answer, &created); err != nil {
			return "", err
		}
		made, err := readUser(created.User, "Attributes")
		return made[fieldSub], err
	}
	return c
}

func createTaken(w *Writer) (Call, bool) {
	object, ok := w.user()
	if !ok {
		return Call{}, false
	}
	c := w.about(object, Effect{}, map[string]any{"MessageAction": "SUPPRESS"})
	c.Refused, c.Must = []string{"UsernameExistsException"}, true
	return c, true
}

// contender is the writer's user that takes addresses from others. Whether its own is verified depends on them.
func (w *Writer) contender() string { return "user:contender" + strconv.Itoa(w.ID) }

func createContender(w *Writer) (Call, bool) {
	if w.exists(w.contender()) || w.frozen[w.contender()] {
		return Call{}, false
	}
	mark := w.unique("m")
	set := map[string]string{"nickname": mark, "custom:mark": mark}
	return w.create(w.contender(), set, Effect{}, map[string]any{"MessageAction": "SUPPRESS", "TemporaryPassword": "Temporary-1", "UserAttributes": attributes(set)}), true
}

func contend(w *Writer) (Call, bool) {
	if !w.exists(w.contender()) {
		return Call{}, false
	}
	mark := w.unique("m")
	set := map[string]string{
		"email": "contested" + strconv.Itoa(w.rand.IntN(contested)) + "@example.com", "email_verified": "true",
		"nickname": mark, "custom:mark": mark,
	}
	c := w.update(w.contender(), set, Effect{})
	c.Effect.Set["email_verified"], c.Effect.Set[fieldCode] = Either, ""
	// Twenty writers may want one address at the same moment; whoever loses too often is told to come again.
	c.Refused = []string{"TooManyRequestsException"}
	return c, true
}

func markUser(w *Writer) (Call, bool) {
	object, ok := w.user()
	mark := w.unique("m")
	return w.update(object, map[string]string{"nickname": mark, "custom:mark": mark}, Effect{}), ok
}

func verifyAddress(w *Writer) (Call, bool) {
	object, ok := w.user()
	address, mark := w.unique("a")+"@example.com", w.unique("m")
	return w.update(object, map[string]string{"email": address, "nickname": mark, "custom:mark": mark},
		Effect{Mail: address, Set: map[string]string{"email_verified": "false", fieldCode: address}}), ok
}

func moveAlias(w *Writer) (Call, bool) {
	object, ok := w.user()
	address, mark := w.unique("a")+"@example.com", w.unique("m")
	return w.update(object, map[string]string{"email": address, "email_verified": "true", "nickname": mark, "custom:mark": mark},
		Effect{Set: map[string]string{fieldCode: ""}}), ok
}

func preferName(w *Writer) (Call, bool) {
	object, ok := w.user()
	return w.update(object, map[string]string{"preferred_username": w.unique("p")}, Effect{}), ok
}

func updateUnknown(w *Writer) (Call, bool) {
	object, ok := w.user()
	mark := w.unique("m")
	c := w.about(object, Effect{}, map[string]any{"UserAttributes": []attribute{{"nickname", mark}, {"custom:unknown", mark}}})
	c.Refused, c.Must = []string{"InvalidParameterException"}, true
	return c, ok
}

func unmarkUser(w *Writer) (Call, bool) {
	object, ok := w.user()
	return w.about(object, Effect{Kind: Change, Set: map[string]string{"nickname": "", "custom:mark": ""}},
		map[string]any{"UserAttributeNames": []string{"nickname", "custom:mark"}}), ok
}

func dropAddress(w *Writer) (Call, bool) {
	object, ok := w.user()
	return w.about(object, Effect{Kind: Change, Set: map[string]string{"email": "", "email_verified": "", fieldCode: ""}},
		map[string]any{"UserAttributeNames": []string{"email"}}), ok
}

// preferFactor prefers e-mail as second factor where there is an address, and else no factor at all.
func preferFactor(w *Writer) (Call, bool) {
	object, ok := w.user()
	block, value := map[string]bool{"Enabled": false}, ""
	if w.model[object]["email"] != "" && w.rand.IntN(2) == 0 {
		block, value = map[string]bool{"Enabled": true, "PreferredMfa": true}, "EMAIL_OTP"
	}
	return w.about(object, Effect{Kind: Change, Set: map[string]string{fieldFactor: value}}, map[string]any{"EmailMfaSettings": block}), ok
}

func setPassword(w *Writer) (Call, bool) {
	object, ok := w.user()
	permanent := w.rand.IntN(2) == 0
	status := "FORCE_CHANGE_PASSWORD"
	if permanent {
		status = "CONFIRMED"
	}
	return w.about(object, Effect{Kind: Change, Set: map[string]string{fieldStatus: status}},
		map[string]any{"Password": "Password-" + w.unique("p"), "Permanent": permanent}), ok
}

func enable(w *Writer, enabled bool) (Call, bool) {
	object, ok := w.user()
	return w.about(object, Effect{Kind: Change, Set: map[string]string{fieldEnabled: strconv.FormatBool(enabled)}}, nil), ok
}

func setOption(w *Writer) (Call, bool) {
	object, ok := w.user()
	options, value := []map[string]string{}, ""
	if w.rand.IntN(2) == 0 {
		options, value = append(options, map[string]string{"DeliveryMedium": "SMS", "AttributeName": "phone_number"}), "true"
	}
	return w.about(object, Effect{Kind: Change, Set: map[string]string{fieldOption: value}}, map[string]any{"MFAOptions": options}), ok
}

func signOut(w *Writer) (Call, bool) {
	object, ok := w.user()
	return w.about(object, Effect{Kind: Change}, nil), ok
}

func deleteUser(w *Writer) (Call, bool) {
	object, ok := w.user()
	return w.about(object, Effect{Kind: Destroy}, nil), ok
}

func getUser(w *Writer) (Call, bool) {
	object, ok := w.user()
	c := w.about(object, Effect{}, nil)
	expected := w.model[object]
	// The user is found by any of its names.
	names := []string{userName(object), expected[fieldSub]}
	if expected["email_verified"] == "true" {
		names = append(names, expected["email"])
	}
	if p := expected["preferred_username"]; p != "" {
		names = append(names, p)
	}
	c.Input["Username"] = names[w.rand.IntN(len(names))]
	c.Check = func(answer []byte) error {
		got, err := readUser(answer, "UserAttributes")
		if err != nil {
			return err
		}
		return differ(userName(object), asShown(expected), got)
	}
	return c, ok
}

// asShown is a user as the API shows it: without the group.
func asShown(o Object) Object {
	o = maps.Clone(o)
	delete(o, fieldGroup)
	return o
}

func listUsers(w *Writer) (Call, bool) {
	object, ok := w.user()
	expected := w.model[object]
	filter := fmt.Sprintf(`username = "%s"`, userName(object))
	if email := expected["email"]; email != "" && w.rand.IntN(2) == 0 {
		filter = fmt.Sprintf(`email = "%s"`, email)
	}
	c := Call{Input: map[string]any{"UserPoolId": w.Pool, "Filter": filter}}
	c.Check = func(answer []byte) error {
		var list struct{ Users []json.RawMessage }
		if err := json.Unmarshal(answer, &list); err != nil {
			return err
		}
		if len(list.Users) != 1 {
			return fmt.Errorf("%d users have %s, which one must have", len(list.Users), filter)
		}
		got, err := readUser(list.Users[0], "Attributes")
		if err != nil {
			return err
		}
		shown := asShown(expected)
		delete(shown, fieldFactor) // which lists do not show
		return differ(userName(object), shown, got)
	}
	return c, ok
}

// readUser turns an answer of the API into the fields of the model.
func readUser(answer []byte, member string) (Object, error) {
	var text map[string]json.RawMessage
	if err := json.Unmarshal(answer, &text); err != nil {
		return nil, err
	}
	var list []attribute
	var status string
	var enabled bool
	for name, into := range map[string]any{member: &list, "UserStatus": &status, "Enabled": &enabled} {
		if err := json.Unmarshal(text[name], into); err != nil {
			return nil, fmt.Errorf("member %s: %w", name, err)
		}
	}
	o := Object{fieldStatus: status, fieldEnabled: strconv.FormatBool(enabled)}
	for _, a := range list {
		if a.Name != "identities" {
			o[a.Name] = a.Value
			continue
		}
		var accounts []struct{ UserID string }
		if err := json.Unmarshal([]byte(a.Value), &accounts); err != nil {
			return nil, fmt.Errorf("attribute identities: %w", err)
		}
		for _, account := range accounts {
			o[fieldAccount+account.UserID] = linked
		}
	}
	if text["MFAOptions"] != nil {
		o[fieldOption] = "true"
	}
	if factor := text["PreferredMfaSetting"]; factor != nil {
		var preferred string
		if err := json.Unmarshal(factor, &preferred); err != nil {
			return nil, fmt.Errorf("member PreferredMfaSetting: %w", err)
		}
		o[fieldFactor] = preferred
	}
	return o, nil
}

// differ says what is different in a user from what was acknowledged; nil when nothing is.
func differ(name string, expected, got Object) error {
	var list []string
	for _, field := range slices.Sorted(maps.Keys(expected)) {
		if w := expected[field]; w != Either && field != fieldCode && got[field] != w {
			list = append(list, fmt.Sprintf("%s is %q and was acknowledged as %q", field, got[field], w))
		}
	}
	for _, field := range slices.Sorted(maps.Keys(got)) {
		if _, ok := expected[field]; !ok {
			list = append(list, fmt.Sprintf("%s is %q and was never acknowledged", field, got[field]))
		}
	}
	if list == nil {
		return nil
	}
	return fmt.Errorf("user %s: %s", name, strings.Join(list, "; "))
}

// poolARN is the ARN of a pool of the development server.
func poolARN(pool string) string {
	return "arn:aws:cognito-idp:us-east-1:000000000000:userpool/" + pool
}

// concurrent are the answers when many change the settings of one pool at a time: such changes exclude each other.
func concurrent() []string {
	return []string{"ConcurrentModificationException", "TooManyRequestsException"}
}

// home is the group of the writer that stays; others come and go without members.
func (w *Writer) home() string { return "group:w" + strconv.Itoa(w.ID) + "g" }

func groupName(object string) string { return strings.TrimPrefix(object, "group:") }

// aboutGroup makes a call about a group of the writer.
func (w *Writer) aboutGroup(object string, e Effect, input map[string]any) Call {
	e.Object, e.Pool, e.Name = object, w.Pool, object
	if input == nil {
		input = map[string]any{}
	}
	input["UserPoolId"], input["GroupName"] = w.Pool, groupName(object)
	return Call{Input: input, Effect: e}
}

func createGroup(w *Writer) (Call, bool) {
	object, text := w.home(), w.unique("d")
	if w.exists(object) || w.frozen[object] {
		object = w.unique(w.home() + "x")
		if len(w.objects(w.home()+"x")) >= ownGroups {
			return Call{}, false
		}
	}
	return w.aboutGroup(object, Effect{Kind: Create, Set: map[string]string{"description": text}}, map[string]any{"Description": text}), true
}

func updateGroup(w *Writer) (Call, bool) {
	object, ok := w.draw(w.home())
	text := w.unique("d")
	return w.aboutGroup(object, Effect{Kind: Change, Set: map[string]string{"description": text}}, map[string]any{"Description": text}), ok
}

func deleteGroup(w *Writer) (Call, bool) {
	object, ok := w.draw(w.home() + "x")
	return w.aboutGroup(object, Effect{Kind: Destroy}, nil), ok
}

// hosts is how many writers have a resource server: a pool has room for 25.
const hosts = 20

// aboutServer makes a call about the resource server of the writer; scope is the name of its one scope, "" for a call that says nothing of it.
func (w *Writer) aboutServer(kind, scope string) Call {
	identifier := "w" + strconv.Itoa(w.ID) + "r"
	c := Call{Input: map[string]any{"UserPoolId": w.Pool, "Identifier": identifier},
		Effect: Effect{Kind: kind, Object: "server:" + identifier, Pool: w.Pool, Name: "server:" + identifier}}
	if scope != "" {
		c.Input["Name"], c.Input["Scopes"] = scope, []map[string]string{{"ScopeName": scope, "ScopeDescription": scope}}
		c.Effect.Set = map[string]string{"scope": scope}
	}
	return c
}

func createServer(w *Writer) (Call, bool) {
	c := w.aboutServer(Create, w.unique("s"))
	return c, w.ID < hosts && !w.exists(c.Effect.Object) && !w.frozen[c.Effect.Object]
}

func updateServer(w *Writer) (Call, bool) {
	c := w.aboutServer(Change, w.unique("s"))
	return c, w.exists(c.Effect.Object)
}

func deleteServer(w *Writer) (Call, bool) {
	c := w.aboutServer(Destroy, "")
	return c, w.exists(c.Effect.Object)
}

// joinGroup puts a user who is outside into the group that stays: only that changes anything, and is in the journal.
func joinGroup(w *Writer) (Call, bool) {
	object, ok := w.user()
	ok = ok && w.exists(w.home()) && w.model[object][fieldGroup] == ""
	return w.about(object, Effect{Kind: Change, Set: map[string]string{fieldGroup: groupName(w.home())}}, map[string]any{"GroupName": groupName(w.home())}), ok
}

func leaveGroup(w *Writer) (Call, bool) {
	object, ok := w.user()
	ok = ok && w.exists(w.home()) && w.model[object][fieldGroup] != ""
	return w.about(object, Effect{Kind: Change, Set: map[string]string{fieldGroup: ""}}, map[string]any{"GroupName": groupName(w.home())}), ok
}

func listMembers(w *Writer) (Call, bool) {
	var expected, unknown []string
	for object, fields := range w.model {
		name := userName(object)
		switch {
		case name == "":
		case w.frozen[object]:
			unknown = append(unknown, name)
		case fields[fieldGroup] != "":
			expected = append(expected, name)
		}
	}
	slices.Sort(expected)
	c := w.aboutGroup(w.home(), Effect{}, nil)
	c.Check = func(answer []byte) error {
		var list struct{ Users []struct{ Username string } }
		if err := json.Unmarshal(answer, &list); err != nil {
			return err
		}
		var got []string
		for _, u := range list.Users {
			if !slices.Contains(unknown, u.Username) {
				got = append(got, u.Username)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, expected) {
			return fmt.Errorf("group %s has %q, and should have %q", groupName(w.home()), got, expected)
		}
		return nil
	}
	return c, w.exists(w.home())
}

// account is an account at an external provider, or a user of the pool.
func account(provider, value string) map[string]any {
	return map[string]any{"ProviderName": provider, "ProviderAttributeName": "Cognito_Subject", "ProviderAttributeValue": value}
}

// accounts are what is linked to a user.
func accounts(o Object) (list []string) {
	for _, field := range slices.Sorted(maps.Keys(o)) {
		if value, ok := strings.CutPrefix(field, fieldAccount); ok {
			list = append(list, value)
		}
	}
	return list
}

func linkAccount(w *Writer) (Call, bool) {
	object, ok := w.user()
	value := w.unique("i")
	c := w.about(object, Effect{Kind: Change, Set: map[string]string{fieldAccount + value: linked}},
		map[string]any{"DestinationUser": account("Cognito", userName(object)), "SourceUser": account("Google", value)})
	delete(c.Input, "Username")
	return c, ok && len(accounts(w.model[object])) < ownAccounts
}

func unlinkAccount(w *Writer) (Call, bool) {
	object, ok := w.user()
	list := accounts(w.model[object])
	if !ok || len(list) == 0 {
		return Call{}, false
	}
	value := list[w.rand.IntN(len(list))]
	c := w.about(object, Effect{Kind: Change, Set: map[string]string{fieldAccount + value: ""}}, map[string]any{"User": account("Google", value)})
	delete(c.Input, "Username")
	return c, true
}

// tagged is the writer's tag of the shared pool.
func (w *Writer) tagged() (object, key string) {
	key = "writer" + strconv.Itoa(w.ID)
	return "tag:" + w.Pool + ":" + key, key
}

func tag(w *Writer) (Call, bool) {
	object, key := w.tagged()
	value := w.unique("t")
	kind := Change
	if !w.exists(object) {
		kind = Create
	}
	return Call{
			Refused: concurrent(), Input: map[string]any{"ResourceArn": poolARN(w.Pool), "Tags": map[string]string{key: value}},
			Effect: Effect{Kind: kind, Object: object, Set: map[string]string{"value": value}, Pool: w.Pool, Name: key},
		},
		w.ID < taggers && !w.frozen[object]
}

func untag(w *Writer) (Call, bool) {
	object, key := w.tagged()
	return Call{
			Refused: concurrent(), Input: map[string]any{"ResourceArn": poolARN(w.Pool), "TagKeys": []string{key}},
			Effect: Effect{Kind: Destroy, Object: object, Pool: w.Pool, Name: key},
		},
		w.ID < taggers && w.exists(object)
}

// SettingsPool is the pool that one of the first writers owns.
func SettingsPool(pool string, writer int) string { return pool + "w" + strconv.Itoa(writer) }

func updatePool(w *Writer) (Call, bool) {
	pool, text := SettingsPool(w.Pool, w.ID), w.unique("s")
	object := "pool:" + pool
	kind := Change
	if !w.exists(object) {
		kind = Create // its settings are not known yet
	}
	return Call{
			Refused: concurrent(), Input: map[string]any{"UserPoolId": pool, "PoolName": text, "UserPoolTags": map[string]string{"mark": text}},
			Effect: Effect{Kind: kind, Object: object, Set: map[string]string{"name": text, "mark": text}, Pool: pool},
		},
		w.ID < settlers && !w.frozen[object]
}

// customID is the prefix of a client's name by which a development server is asked for an id.
const customID = "_custom_id_:"

func createClient(w *Writer) (Call, bool) {
	pool := SettingsPool(w.Pool, w.ID)
	id, validity := w.unique("client"+strconv.Itoa(w.ID)+"x"), 1+w.rand.IntN(3000)
	return Call{
			Refused: concurrent(), Input: map[string]any{"UserPoolId": pool, "ClientName": customID + id, "RefreshTokenValidity": validity},
			Effect: Effect{Kind: Create, Object: "client:" + pool + ":" + id, Set: map[string]string{"validity": strconv.Itoa(validity)}, Pool: pool, Name: "client:" + id},
		},
		w.ID < settlers && len(w.objects("client:"+pool)) < ownClients
}

// client draws a client of the writer.
func (w *Writer) client() (object, pool, id string, ok bool) {
	pool = SettingsPool(w.Pool, w.ID)
	object, ok = w.draw("client:" + pool)
	return object, pool, strings.TrimPrefix(object, "client:"+pool+":"), ok
}

func updateClient(w *Writer) (Call, bool) {
	object, pool, id, ok := w.client()
	validity := 1 + w.rand.IntN(3000)
	return Call{
		Refused: concurrent(), Input: map[string]any{"UserPoolId": pool, "ClientId": id, "RefreshTokenValidity": validity},
		Effect: Effect{Kind: Change, Object: object, Set: map[string]string{"validity": strconv.Itoa(validity)}, Pool: pool, Name: "client:" + id},
	}, ok
}

func deleteClient(w *Writer) (Call, bool) {
	object, pool, id, ok := w.client()
	return Call{
		Refused: concurrent(), Input: map[string]any{"UserPoolId": pool, "ClientId": id},
		Effect: Effect{Kind: Destroy, Object: object, Pool: pool, Name: "client:" + id},
	}, ok
}
