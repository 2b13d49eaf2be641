// Package notice holds the rules about what users are told: which template a message uses, how placeholders
// are filled, what a CustomMessage function may answer, and the states of a message on its way out.
//
// It is pure. Sending is done by adapters behind port/message; when a message is sent is decided by
// service/messages and service/jobs.
package notice

import (
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/contact"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

// Medium is how a message travels.
type Medium string

// The media.
const (
	Email Medium = "EMAIL"
	SMS   Medium = "SMS"
)

// State is where a message stands on its way out.
type State string

// Compose: the CustomMessage function has to run first. Ready: it can be delivered. Sent: the sender took it.
// Dead: it will not be delivered (the function failed, the sender refused for good, or its code has expired).
const (
	Compose State = "compose"
	Ready   State = "ready"
	Sent    State = "sent"
	Dead    State = "dead"
)

// Message is a row of the outbox: a message that was decided in the transaction of the change that caused it.
type Message struct {
	ID        string // unique; also the e-mail's Message-ID, so that a message sent twice can be recognised
	RequestID string // of the call that caused it
	PoolID    string
	Sub       string
	Username  string
	Source    string // the trigger source, such as "CustomMessage_UpdateUserAttribute"
	Medium    Medium
	To        string
	Attribute string      // "email" or "phone_number": which address To is
	Code      secret.Text // the code or the temporary password
	// Metadata is the caller's ClientMetadata. It is kept only until the message is composed.
	Metadata map[string]string
	// SenderMetadata is the ClientMetadata that a custom sender gets. It is kept until the message is handed over.
	SenderMetadata map[string]string
	ClientID       string // for the trigger's callerContext; "" means none
	SDK            string // likewise; "" where no function needs it
	// Sender is the custom sender that carries the message, as it was when the message was drafted; "" is ours.
	Sender  string
	State   State
	Subject string      // of an e-mail, once composed
	Body    secret.Text // once composed; holds the code
	Created time.Time
	Expires time.Time // not delivered after this: the code is dead by then
	NextTry time.Time
	Tries   int
	Error   string // why the last try failed; never holds a secret
}

// Trigger sources of this server.
const (
	SourceAdminCreate      = "CustomMessage_AdminCreateUser"
	SourceUpdateAttribute  = "CustomMessage_UpdateUserAttribute"
	SourceSignUp           = "CustomMessage_SignUp"
	SourceResend           = "CustomMessage_ResendCode"
	SourceVerifyAttribute  = "CustomMessage_VerifyUserAttribute"
	SourceForgotPassword   = "CustomMessage_ForgotPassword"
	SourcePreSignUp        = "PreSignUp_SignUp"
	SourcePreSignUpByAdmin = "PreSignUp_AdminCreateUser"
	SourceConfirmedSignUp  = "PostConfirmation_ConfirmSignUp"
	SourceConfirmForgotten = "PostConfirmation_ConfirmForgotPassword"
	SourceMigrateForgotten = "UserMigration_ForgotPassword"
	SourceMigrateSignIn    = "UserMigration_Authentication"
	SourceAuthentication   = "CustomMessage_Authentication"
	SourceBeforeSignIn     = "PreAuthentication_Authentication"
	SourceSignedIn         = "PostAuthentication_Authentication"
	SourceDefine           = DefineChallenge + "_Authentication"
	SourceCreate           = CreateChallenge + "_Authentication"
	SourceVerify           = VerifyChallenge + "_Authentication"
	SourceTokens           = "TokenGeneration_Authentication"
	SourceTokensNewPass    = "TokenGeneration_NewPasswordChallenge"
	SourceTokensDevice     = "TokenGeneration_AuthenticateDevice"
	SourceTokensRefresh    = "TokenGeneration_RefreshTokens"
	SourceTokensMachine    = "TokenGeneration_ClientCredentials"
)

// Triggers, as LambdaConfig and the texts of faults name them.
const (
	CustomMessage    = "CustomMessage"
	PreSignUp        = "PreSignUp"
	PostConfirmation = "PostConfirmation"
	UserMigration    = "UserMigration"
	BeforeSignIn     = "PreAuthentication"
	AfterSignIn      = "PostAuthentication"
	DefineChallenge  = "DefineAuthChallenge"
	CreateChallenge  = "CreateAuthChallenge"
	VerifyChallenge  = "VerifyAuthChallengeResponse"
)

// MediumOf is how messages to an address attribute travel.
func MediumOf(attribute string) Medium {
	if attribute == pool.PhoneNumber {
		return SMS
	}
	return Email
}

// Mask is the address as answers show it to whoever asked for the message.
func Mask(m Medium, to string) string {
	if m == SMS {
		return contact.MaskPhone(to)
	}
	return contact.MaskEmail(to)
}

// Close ends the message's way: it is sent, or dead because of reason. What is secret in it is dropped.
func (m *Message) Close(s State, reason string) {
	m.State, m.Error = s, reason
	m.Code, m.Body, m.Metadata, m.SenderMetadata = secret.Text{}, secret.Text{}, nil, nil
}
