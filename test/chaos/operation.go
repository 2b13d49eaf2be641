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
}

// The limits of what a writer owns.
const (
	ownUsers   = 5 // users of a writer
	ownClients = 3
	taggers    = 2 // the first writers tag the shared pool
	settlers   = 4 // the first writers own a pool each, whose settings they change
	contested  = 6 // addresses that all writers take from each other
)

// Operations is the table.
func Operations() []Operation {
	return []Operation{
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
		{"AdminDeleteUser", 1, deleteUser},
		{"AdminGetUser", 5, getUser},
		{"ListUsers", 2, listUsers},
		{"TagResource", 1, tag},
		{"UntagResource", 1, untag},
		{"UpdateUserPool", 2, updatePool},
		{"CreateUserPoolClient", 2, createClient},
		{"UpdateUserPoolClient", 2, updateClient},
		{"DeleteUserPoolClient", 1, deleteClient},
	}
}

// attribute is an entry of UserAttributes.
type attribute struct{ Name, Value string }

func attributes(set map[string]string) []attribute {
	var list []attribute
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if name != fieldSub && name != fieldStatus && name != fieldEnabled && name != fieldCode {
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
	return w.about(object, e, input)
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
		return differ(userName(object), expected, got)
	}
	return c, ok
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
		return differ(userName(object), expected, got)
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
		o[a.Name] = a.Value
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
