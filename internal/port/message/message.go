// Package message is the port to whoever carries a message to a person: an SMTP server, an SMS gateway, the inbox.
// Its contract is the test kit next door, messagetest.
//
// A sender gets a finished text and says one of three things: taken, refused for good (a *Refusal), or not now (any
// other error). What a message says is decided in domain/notice; when it is sent, and what becomes of a refusal, in
// service/messages.
package message

import (
	"context"

	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

// Message is what a sender gets.
type Message struct {
	// ID is the same for every try, so that the receiver can recognise a message that comes twice.
	ID       string
	PoolID   string
	Username string
	Source   string // the trigger source that it stands for
	Medium   notice.Medium
	To       string
	Subject  string      // of an e-mail
	Body     secret.Text // of an e-mail HTML, of an SMS plain text
	// Code is the code or temporary password that Body shows. Only the inbox keeps it apart.
	Code secret.Text
	// From and ReplyTo of an e-mail, as the pool configures them; "" leaves them to the sender.
	From, ReplyTo string
}

// Receipt is what the other side gave for a message that it took.
type Receipt struct {
	ID string // its own id of the message, "" when it gives none
}

// Sender carries messages. It is safe for concurrent use, obeys the context, and refuses a context that is inside a
// transaction (store.Outside).
type Sender interface {
	// Send returns when the other side has taken the message. A *Refusal is definite; any other error may pass, and
	// the message may even have been taken: it is sent again with the same ID.
	Send(ctx context.Context, m *Message) (Receipt, error)
}

// Kind says what was refused.
type Kind uint8

// The kinds of refusals. The first two are the SMS gateway's: it does not accept who we are, or does not let us
// send. EmailIdentity is the mail server's: it does not let us send, or not with this sender address. Recipient
// says that the address does not take messages.
const (
	SmsRoleTrust Kind = iota + 1
	SmsRoleAccess
	EmailIdentity
	Recipient
)

// String names the kind for logs.
func (k Kind) String() string {
	switch k {
	case SmsRoleTrust:
		return "not authenticated at the SMS gateway"
	case SmsRoleAccess:
		return "not allowed by the SMS gateway"
	case EmailIdentity:
		return "sender not allowed by the mail server"
	case Recipient:
		return "recipient refused"
	}
	return "refused"
}

// Refusal is an error that trying again will not cure.
type Refusal struct {
	Kind  Kind
	Cause error // what the other side said; never holds the message's text
}

func (r *Refusal) Error() string {
	if r.Cause == nil {
		return r.Kind.String()
	}
	return r.Kind.String() + ": " + r.Cause.Error()
}

func (r *Refusal) Unwrap() error { return r.Cause }
