//go:build linux

package chaos

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// sharedClient is the client of the shared pool by which users sign up.
const sharedClient = "chaosclient"

// ownNewcomers is how many users of a writer have signed up at a time. Nothing else is done with them, because an
// unconfirmed user may not do all that others may.
const ownNewcomers = 3

// newcomer draws a user of the writer who has signed up.
func (w *Writer) newcomer() (string, bool) { return w.draw("user:" + w.newcomers()) }

func (w *Writer) newcomers() string { return "s" + strconv.Itoa(w.ID) + "u" }

// public makes a public call about a user of the writer.
func (w *Writer) public(object string, e Effect, input map[string]any) Call {
	c := w.about(object, e, input)
	delete(c.Input, "UserPoolId")
	c.Input["ClientId"] = sharedClient
	return c
}

func signUp(w *Writer) (Call, bool) {
	if len(w.objects("user:"+w.newcomers())) >= ownNewcomers {
		return Call{}, false
	}
	mark, address := w.unique("m"), w.unique("a")+"@example.com"
	set := map[string]string{"nickname": mark, "custom:mark": mark}
	bare := w.rand.IntN(2) == 0 // gets an address later, and its first code by Resend
	if !bare {
		set["email"] = address
	}
	given := attributes(set)
	set[fieldStatus], set[fieldEnabled] = "UNCONFIRMED", "true"
	e := Effect{Kind: Create, Set: set}
	if !bare {
		set["email_verified"], set[fieldCode], e.Mail = "false", address, address
	}
	c := w.public("user:"+w.unique(w.newcomers()), e, map[string]any{"Password": "Password-1", "UserAttributes": given})
	c.Made = subOf
	return c, true
}

// giveAddress gives an address to a newcomer who has none. No code goes to it, because it is believed.
func giveAddress(w *Writer) (Call, bool) {
	object, ok := w.newcomer()
	return w.update(object, map[string]string{"email": w.unique("a") + "@example.com", "email_verified": "true"}, Effect{}), ok && w.model[object]["email"] == ""
}

func resendCode(w *Writer) (Call, bool) {
	object, ok := w.newcomer()
	address := w.model[object]["email"]
	// Once only: the checker wants one message for each address.
	if !ok || address == "" || w.model[object][fieldStatus] != "UNCONFIRMED" || w.model[object][fieldCode] != "" {
		return Call{}, false
	}
	return w.public(object, Effect{Kind: Change, Mail: address, Set: map[string]string{fieldCode: address}}, nil), true
}

// confirmSignUp confirms a user by the code in the inbox, where there is one. It may be too old: a round may move the clock.
func confirmSignUp(w *Writer) (Call, bool) {
	object, _ := w.newcomer()
	if w.model[object][fieldStatus] != "UNCONFIRMED" || w.model[object][fieldCode] == "" {
		return Call{}, false
	}
	code, ok := w.mailed(w.model[object]["email"])
	c := w.public(object, Effect{Kind: Change, Set: map[string]string{fieldStatus: "CONFIRMED", "email_verified": "true"}}, map[string]any{"ConfirmationCode": code})
	c.Refused = []string{"ExpiredCodeException"}
	return c, ok
}

// mailed is the code in the newest message to an address; false when the server cannot be asked or has no such message.
func (w *Writer) mailed(address string) (string, bool) {
	resp, err := w.http.Get(w.endpoint + "/_poolhouse/inbox.json?limit=1&to=" + url.QueryEscape(address))
	if err != nil {
		return "", false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	var inbox struct{ Messages []struct{ Code string } }
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(body, &inbox) != nil || len(inbox.Messages) == 0 {
		return "", false
	}
	return inbox.Messages[0].Code, true
}

func confirmUnproven(w *Writer) (Call, bool) {
	object, ok := w.newcomer()
	status := w.model[object][fieldStatus]
	c := w.about(object, Effect{Kind: Change, Set: map[string]string{fieldStatus: "CONFIRMED", fieldCode: ""}}, nil)
	if status == "CONFIRMED" {
		c = w.about(object, Effect{}, nil)
		c.Refused, c.Must = []string{"NotAuthorizedException"}, true
	}
	return c, ok
}

func signUpTaken(w *Writer) (Call, bool) {
	object, ok := w.newcomer()
	c := w.public(object, Effect{}, map[string]any{"Password": "Password-1"})
	c.Refused, c.Must = []string{"UsernameExistsException"}, true
	return c, ok
}

func deleteNewcomer(w *Writer) (Call, bool) {
	object, ok := w.newcomer()
	return w.about(object, Effect{Kind: Destroy}, nil), ok
}

// subOf reads the sub of a user who has signed up.
func subOf(answer []byte) (string, error) {
	var made struct{ UserSub string }
	err := json.Unmarshal(answer, &made)
	return made.UserSub, err
}
