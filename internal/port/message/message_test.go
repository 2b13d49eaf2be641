package message_test

import (
	"errors"
	"testing"

	"github.com/poolhouse/poolhouse/internal/port/message"
)

func TestRefusal(t *testing.T) {
	t.Parallel()
	cause := errors.New("550 no")
	for want, r := range map[string]*message.Refusal{
		"not authenticated at the SMS gateway":          {Kind: message.SmsRoleTrust},
		"not allowed by the SMS gateway":                {Kind: message.SmsRoleAccess},
		"sender not allowed by the mail server: 550 no": {Kind: message.EmailIdentity, Cause: cause},
		"recipient refused: 550 no":                     {Kind: message.Recipient, Cause: cause},
		"refused":                                       {},
	} {
		if r.Error() != want || r.Cause != nil && !errors.Is(r, cause) {
			t.Errorf("got %q, want %q with its cause", r.Error(), want)
		}
	}
}
