package notice

import (
	"strings"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
)

// Custom senders, as LambdaConfig names them.
const (
	CustomEmailSender = pool.CustomEmailSender
	CustomSMSSender   = pool.CustomSMSSender
)

// CustomSender is the trigger that carries the message instead of us, "" when the pool has none for its medium. Only messages that
// CustomMessage knows can be handed over: others have no source of a custom sender.
func CustomSender(p *pool.Pool, m *Message) string {
	name := CustomEmailSender
	if m.Medium == SMS {
		name = CustomSMSSender
	}
	if p.Lambda.Function(name) == "" || !strings.HasPrefix(m.Source, customMessagePrefix) {
		return ""
	}
	return name
}

const customMessagePrefix = CustomMessage + "_"

// SenderGetsMetadata reports whether the ClientMetadata of an operation reaches custom senders (documented: not that of
// AdminResetUserPassword and AdminCreateUser, nor of the calls that change or verify attributes).
func SenderGetsMetadata(operation string) bool {
	switch operation {
	case "SignUp", "ForgotPassword", "RespondToAuthChallenge", "AdminRespondToAuthChallenge":
		return true
	}
	return false
}

// angles are written as entities in the temporary password that a custom sender gets (documented).
var angles = strings.NewReplacer("<", "&lt;", ">", "&gt;")

// SenderPlaintext is what a custom sender finds when it decrypts the code: the code, or the temporary password with its angle
// brackets as entities.
func SenderPlaintext(m *Message) string {
	if m.Source == SourceAdminCreate {
		return angles.Replace(m.Code.Reveal())
	}
	return m.Code.Reveal()
}

type senderRequest struct {
	Type       string            `json:"type"`
	Code       string            `json:"code"`
	Metadata   map[string]string `json:"clientMetadata"` // null when there is none
	Attributes map[string]string `json:"userAttributes"`
}

// CustomSenderEvent is the event for the pool's custom sender, which trigger names. Code is what encrypts SenderPlaintext, in
// base64. That the event has an empty response is unconfirmed; none is read.
func CustomSenderEvent(p *pool.Pool, r *user.Record, m *Message, trigger, code string) *Event {
	kind := "customEmailSenderRequestV1"
	if trigger == CustomSMSSender {
		kind = "customSMSSenderRequestV1"
	}
	caller := CallerOf("", m.ClientID)
	if m.SDK != "" {
		caller.SDK = m.SDK
	}
	return &Event{Version: "1", Region: p.Region, PoolID: p.ID, Username: r.Username, Caller: caller,
		Source:   trigger + "_" + strings.TrimPrefix(m.Source, customMessagePrefix),
		Request:  senderRequest{Type: kind, Code: code, Metadata: m.SenderMetadata, Attributes: Attributes(p, r)},
		Response: struct{}{}}
}
