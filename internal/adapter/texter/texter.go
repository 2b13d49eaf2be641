// Package texter hands text messages to an SMS gateway by a webhook.
//
// The gateway gets a POST with {"id","to","body","pool","source"}; the id is the same for every try and is also sent as
// Idempotency-Key. Any 2xx takes the message, and may name it with {"id"}. 401 and 403 say that we are not known or not
// allowed, 422 that the number takes no messages; these are final. Everything else, also a redirect, is tried again.
package texter

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/kit/webhook"
	"github.com/poolhouse/poolhouse/internal/port/message"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

const (
	timeLimit   = 5 * time.Second
	answerLimit = 64 << 10
)

// Webhook is an SMS gateway behind a URL. It is a message.Sender.
type Webhook struct {
	URL    string
	Secret secret.Text // signs the posts; empty: they carry no signature
	Client *http.Client
	Real   clock.Clock   // dates the signature
	Limit  time.Duration // for one post; 0: five seconds
}

type post struct {
	ID     string `json:"id"`
	To     string `json:"to"`
	Body   string `json:"body"`
	Pool   string `json:"pool"`
	Source string `json:"source"`
}

// Send posts the message.
func (w *Webhook) Send(ctx context.Context, m *message.Message) (message.Receipt, error) {
	if err := store.Outside(ctx); err != nil {
		return message.Receipt{}, err
	}
	limit := w.Limit
	if limit == 0 {
		limit = timeLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	body, err := json.Marshal(post{ID: m.ID, To: m.To, Body: m.Body.Reveal(), Pool: m.PoolID, Source: m.Source})
	if err != nil {
		return message.Receipt{}, fmt.Errorf("encode text message: %w", err)
	}
	header := http.Header{"Idempotency-Key": {m.ID}}
	if !w.Secret.IsZero() {
		header.Set(webhook.SignatureHeader, webhook.Sign([]byte(w.Secret.Reveal()), w.Real.Now(), body))
	}
	answer, err := webhook.Post(ctx, w.Client, w.URL, header, body, answerLimit)
	if err != nil {
		return message.Receipt{}, fmt.Errorf("SMS gateway: %w", err)
	}
	refused := fmt.Errorf("SMS gateway answered %d", answer.Status)
	switch {
	case answer.Status >= 200 && answer.Status < 300:
		return receipt(answer.Body), nil
	case answer.Status == http.StatusUnauthorized:
		return message.Receipt{}, &message.Refusal{Kind: message.SmsRoleTrust, Cause: refused}
	case answer.Status == http.StatusForbidden:
		return message.Receipt{}, &message.Refusal{Kind: message.SmsRoleAccess, Cause: refused}
	case answer.Status == http.StatusUnprocessableEntity:
		return message.Receipt{}, &message.Refusal{Kind: message.Recipient, Cause: refused}
	}
	return message.Receipt{}, refused
}

// receipt reads the gateway's id. A gateway need not give one, so that any other answer is fine too.
func receipt(body []byte) message.Receipt {
	var named struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(body, &named) != nil {
		return message.Receipt{}
	}
	return message.Receipt{ID: named.ID}
}
