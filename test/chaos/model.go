//go:build linux

package chaos

import "strings"

// What a call does to its object.
const (
	None    = ""        // it changes nothing
	Create  = "create"  // it makes the object, which was not there
	Change  = "change"  // it sets fields
	Destroy = "destroy" // it removes the object
)

// Effect is what a successful call has done: it is in the load's log, and both the load and the checker apply it to their models.
type Effect struct {
	Kind   string            `json:"kind,omitempty"`
	Object string            `json:"object,omitempty"` // "user:NAME", "group:NAME", "server:IDENTIFIER", "tag:POOL:KEY", "client:POOL:ID", "pool:POOL", "visits:NAME"
	Set    map[string]string `json:"set,omitempty"`    // "" removes a field
	Mail   string            `json:"mail,omitempty"`   // address that gets a message, used once only

	// What the line of the journal says, by which the checker knows a call whose answer was lost.
	Pool string `json:"pool,omitempty"`
	Sub  string `json:"sub,omitempty"`
	Name string `json:"name,omitempty"`

	Visit string `json:"visit,omitempty"` // the field of "visits:NAME" that a sign-in makes
	Way   string `json:"way,omitempty"`   // in which it was made
}

// Either is the value of a field that others may change: no particular value is expected.
const Either = "*"

// The fields of a user beside its attributes.
const (
	fieldSub     = "sub"
	fieldStatus  = "status"
	fieldEnabled = "enabled"
	fieldOption  = "sms_option" // "true" or absent
	fieldFactor  = "mfa"        // the preferred second factor
	fieldCode    = "code"       // the address to which the code went that counts
	fieldGroup   = "group"      // that the user is in
	fieldAccount = "account:"   // with the subject of an account that is linked to the user
)

// linked is the value of a field for a linked account.
const linked = "linked"

// Object is the fields of a thing that exists.
type Object map[string]string

// Model is what exists, by name.
type Model map[string]Object

// Apply carries out an effect.
func (m Model) Apply(e Effect) {
	switch e.Kind {
	case Create:
		m[e.Object] = make(Object, len(e.Set))
		fallthrough
	case Change:
		for name, value := range e.Set {
			if value == "" {
				delete(m[e.Object], name)
			} else {
				m[e.Object][name] = value
			}
		}
	case Destroy:
		delete(m, e.Object)
	}
}

// userName is the user of an object's name, "" when the object is something else.
func userName(object string) string {
	name, ok := strings.CutPrefix(object, "user:")
	if !ok {
		return ""
	}
	return name
}
