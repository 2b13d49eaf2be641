//go:build linux

package chaos

import "strconv"

// ownForgetful is how many users of a writer forget their passwords. Nothing else is done with them: their only codes are
// those for a new password.
const ownForgetful = 2

// forgetful draws a user of the writer who forgets passwords.
func (w *Writer) forgetful() (string, bool) { return w.draw("user:" + w.forgetfuls()) }

func (w *Writer) forgetfuls() string { return "r" + strconv.Itoa(w.ID) + "u" }

func createForgetful(w *Writer) (Call, bool) {
	if len(w.objects("user:"+w.forgetfuls())) >= ownForgetful {
		return Call{}, false
	}
	mark := w.unique("m")
	set := map[string]string{"nickname": mark, "custom:mark": mark, "email": w.unique("a") + "@example.com", "email_verified": "true"}
	return w.create("user:"+w.unique(w.forgetfuls()), set, Effect{},
		map[string]any{"TemporaryPassword": "Temporary-1", "MessageAction": "SUPPRESS", "UserAttributes": attributes(set)}), true
}

// settlePassword gives a forgetful user a permanent password, which voids a code.
func settlePassword(w *Writer) (Call, bool) {
	object, ok := w.forgetful()
	return w.about(object, Effect{Kind: Change, Set: map[string]string{fieldStatus: "CONFIRMED", fieldCode: ""}},
		map[string]any{"Password": "Password-" + w.unique("p"), "Permanent": true}), ok
}

// freshAddress gives a forgetful user an address to which no message has gone.
func freshAddress(w *Writer) (Call, bool) {
	object, ok := w.forgetful()
	if !w.told[w.model[object]["email"]] || w.model[object][fieldCode] != "" {
		return Call{}, false
	}
	return w.update(object, map[string]string{"email": w.unique("a") + "@example.com", "email_verified": "true"}, Effect{}), ok
}

// recoverable draws a forgetful user who can get a code, at an address that gets it as its only message: the checker
// wants one for each address.
func (w *Writer) recoverable() (object, address string, ok bool) {
	object, ok = w.forgetful()
	address = w.model[object]["email"]
	status := w.model[object][fieldStatus]
	if !ok || w.told[address] || w.model[object][fieldCode] != "" || status != "CONFIRMED" && status != "RESET_REQUIRED" {
		return "", "", false
	}
	if w.told == nil {
		w.told = map[string]bool{}
	}
	w.told[address] = true
	return object, address, true
}

func forgotPassword(w *Writer) (Call, bool) {
	object, address, ok := w.recoverable()
	c := w.public(object, Effect{Kind: Change, Mail: address, Set: map[string]string{fieldCode: address}}, nil)
	c.Refused = []string{"LimitExceededException"}
	return c, ok
}

func resetPassword(w *Writer) (Call, bool) {
	object, address, ok := w.recoverable()
	c := w.about(object, Effect{Kind: Change, Mail: address, Set: map[string]string{fieldCode: address, fieldStatus: "RESET_REQUIRED"}}, nil)
	c.Refused = []string{"LimitExceededException"}
	return c, ok
}

// recoverPassword uses the code in the inbox, where there is one. It may be too old: a round may move the clock.
func recoverPassword(w *Writer) (Call, bool) {
	object, ok := w.forgetful()
	if !ok || w.model[object][fieldCode] == "" {
		return Call{}, false
	}
	code, ok := w.mailed(w.model[object]["email"])
	c := w.public(object, Effect{Kind: Change, Set: map[string]string{fieldStatus: "CONFIRMED", fieldCode: ""}},
		map[string]any{"ConfirmationCode": code, "Password": "Password-" + w.unique("p")})
	c.Refused = []string{"ExpiredCodeException", "LimitExceededException"}
	return c, ok
}

func deleteForgetful(w *Writer) (Call, bool) {
	object, ok := w.forgetful()
	return w.about(object, Effect{Kind: Destroy}, nil), ok
}
