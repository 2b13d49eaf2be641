package notice

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// Custom is the answer of a CustomMessage function. Nil members leave the pool's template in force.
type Custom struct {
	SMS          *string `json:"smsMessage"`
	EmailMessage *string `json:"emailMessage"`
	EmailSubject *string `json:"emailSubject"`
}

// ParseCustom reads the response member of a CustomMessage function's answer. Empty texts count as absent
// (unconfirmed); what else the function adds is ignored.
func ParseCustom(response []byte) (Custom, error) {
	var c Custom
	if err := unmarshalExact(response, map[string]any{
		"smsMessage": &c.SMS, "emailMessage": &c.EmailMessage, "emailSubject": &c.EmailSubject,
	}); err != nil {
		return Custom{}, err
	}
	for _, text := range []**string{&c.SMS, &c.EmailMessage, &c.EmailSubject} {
		if *text != nil && **text == "" {
			*text = nil
		}
	}
	return c, nil
}

// CheckCustom says whether the pool may use what a CustomMessage function answered: texts within their limits, with
// the placeholders that the source needs, and an e-mail's texts only where the pool does not send with
// COGNITO_DEFAULT (documented). All texts are checked, also those of the medium that is not used (unconfirmed).
func CheckCustom(p *pool.Pool, source string, c Custom) error {
	if p.Email.Account != "DEVELOPER" && (c.EmailMessage != nil || c.EmailSubject != nil) {
		return unrecognizable("e-mail texts while the pool sends with COGNITO_DEFAULT")
	}
	for _, text := range []struct {
		member string
		value  *string
		limit  int
		medium Medium
	}{{"smsMessage", c.SMS, MaxSMS, SMS}, {"emailMessage", c.EmailMessage, MaxEmail, Email}, {"emailSubject", c.EmailSubject, MaxSubject, Email}} {
		switch {
		case text.value == nil:
		case tooLong(*text.value, text.limit):
			return unrecognizable(fmt.Sprintf("%s is longer than %d characters", text.member, text.limit))
		case text.value != c.EmailSubject && !Complete(p, source, text.medium, *text.value):
			return unrecognizable(text.member + " lacks a placeholder")
		}
	}
	return nil
}

// Over lays the function's texts over the pool's template.
func (c Custom) Over(t Template, m Medium) Template {
	if m == SMS {
		return Template{Body: or(c.SMS, t.Body)}
	}
	return Template{Subject: or(c.EmailSubject, t.Subject), Body: or(c.EmailMessage, t.Body)}
}

// SignUpAnswer is the answer of a PreSignUp function.
type SignUpAnswer struct{ Confirm, VerifyEmail, VerifyPhone bool }

// ParseSignUp reads the response member of a PreSignUp function's answer. Absent and null members are false.
func ParseSignUp(response []byte) (SignUpAnswer, error) {
	var a SignUpAnswer
	err := unmarshalExact(response, map[string]any{
		"autoConfirmUser": &a.Confirm, "autoVerifyEmail": &a.VerifyEmail, "autoVerifyPhone": &a.VerifyPhone,
	})
	if err != nil {
		return SignUpAnswer{}, err
	}
	return a, nil
}

// unmarshalExact reads members by their exact names: encoding/json alone would also take other letter cases.
func unmarshalExact(object []byte, into map[string]any) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(object, &members); err != nil || members == nil {
		return unrecognizable("the response is no object")
	}
	for name, target := range into {
		value, present := members[name]
		if !present {
			continue
		}
		if err := json.Unmarshal(value, target); err != nil {
			return unrecognizable(name + " has another type")
		}
	}
	return nil
}

// unrecognizable is the fault for every answer that cannot be used. The reason is for the log, and names members
// only: the function's texts may hold what nobody should read.
func unrecognizable(reason string) error {
	return fault.TriggerUnrecognizable().Because(errors.New(reason))
}
