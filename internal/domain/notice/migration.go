package notice

import (
	"fmt"
	"slices"

	"github.com/poolhouse/poolhouse/internal/domain/user"
)

// Migration is the answer of a UserMigration function: a user as another directory knows it.
type Migration struct {
	Attributes map[string]string // nil: the function knows nobody
	Status     user.Status       // Confirmed or ResetRequired
	Suppress   bool              // no welcome message
	Media      []Medium          // by which the welcome message goes; SMS when the function does not say
	ForceAlias bool              // verified addresses are taken from users who have them
	SMSFactor  bool              // SMS is the user's second factor
}

// suppress is the only messageAction that there is.
const suppress = "SUPPRESS"

// ParseMigration reads the response member of a UserMigration function's answer. Absent and null members have their
// defaults; empty texts count as absent (unconfirmed).
func ParseMigration(response []byte) (Migration, error) {
	var values map[string]*string
	var status, action *string
	var media []string
	m := Migration{Status: user.ResetRequired, Media: []Medium{SMS}}
	if err := unmarshalExact(response, map[string]any{
		"userAttributes": &values, "finalUserStatus": &status, "messageAction": &action, "desiredDeliveryMediums": &media,
		"forceAliasCreation": &m.ForceAlias, "enableSMSMFA": &m.SMSFactor,
	}); err != nil {
		return Migration{}, err
	}
	for name, value := range values {
		if value == nil {
			continue // a value of null is no value
		}
		if m.Attributes == nil {
			m.Attributes = make(map[string]string, len(values))
		}
		m.Attributes[name] = *value
	}
	switch s := or(status, string(user.ResetRequired)); user.Status(s) {
	case user.Confirmed, user.ResetRequired:
		m.Status = user.Status(s)
	default:
		return Migration{}, unrecognizable(fmt.Sprintf("finalUserStatus %.40q", s))
	}
	switch a := or(action, ""); a {
	case suppress:
		m.Suppress = true
	case "":
	default:
		return Migration{}, unrecognizable(fmt.Sprintf("messageAction %.40q", a))
	}
	if len(media) > 0 {
		m.Media = nil
	}
	for _, name := range media {
		medium := Medium(name)
		if medium != Email && medium != SMS {
			return Migration{}, unrecognizable(fmt.Sprintf("desiredDeliveryMediums %.40q", name))
		}
		if !slices.Contains(m.Media, medium) {
			m.Media = append(m.Media, medium)
		}
	}
	return m, nil
}
