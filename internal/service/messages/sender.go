package messages

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/encsdk"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// A custom sender is a function that gets a message's code, encrypted, and sends a message of its own. It takes the place of mail
// server and SMS gateway; CustomMessage still runs and can still refuse the call, but its text is not used (unconfirmed). The worker
// hands messages over, after the commit and never in the request, so that no error of a function or of the key service reaches the
// caller: it is tried again until the code is dead.

// assign decides at the time of drafting who carries the message, and keeps what a custom sender's event will need of the call.
func (m *Messages) assign(c *dispatch.Call, p *pool.Pool, msg *notice.Message, metadata map[string]string) {
	if msg.Sender = notice.CustomSender(p, msg); msg.Sender == "" {
		return
	}
	msg.SDK = notice.CallerOf(c.UserAgent, msg.ClientID).SDK
	if notice.SenderGetsMetadata(c.Spec.Name) {
		msg.SenderMetadata = metadata
	}
}

// hand encrypts the code of a step's message and hands it to the pool's custom sender. Where there is an inbox, it shows the message
// from the first try on, so that codes stay readable in development when the function is not there.
func (m *Messages) hand(ctx context.Context, p *pool.Pool, r *user.Record, function string, s *step) error {
	msg := s.msg
	if m.sender(msg.Medium) == nil {
		s.inbox = entry(msg, function)
	}
	code, err := m.encrypt(ctx, p, msg)
	if err == nil {
		err = m.run(ctx, p, msg.Sender, notice.CustomSenderEvent(p, r, msg, msg.Sender, code), nil)
	}
	if err != nil {
		msg.Tries++
		m.postpone(ctx, msg, err)
		return err
	}
	msg.Close(notice.Sent, "")
	m.count(msg.Medium, "sent")
	return nil
}

// encrypt is the code of a message as a custom sender gets it.
func (m *Messages) encrypt(ctx context.Context, p *pool.Pool, msg *notice.Message) (string, error) {
	if err := store.Outside(ctx); err != nil {
		return "", err
	}
	if p.Lambda.KMSKeyID == nil || m.Keys == nil {
		return "", errors.New("there is no key to encrypt the code with")
	}
	newKey := func(bound map[string]string) (encsdk.DataKey, error) {
		k, err := m.Keys.Generate(ctx, *p.Lambda.KMSKeyID, bound)
		return encsdk.DataKey{Plain: k.Plain, Provider: "aws-kms", Info: k.KeyARN, Wrapped: k.Wrapped}, err
	}
	sealed, err := encsdk.Seal(m.Random, map[string]string{"userpool-id": p.ID}, newKey, []byte(notice.SenderPlaintext(msg)))
	if err != nil {
		return "", fmt.Errorf("encrypt the code for %s: %w", msg.Sender, err)
	}
	return base64.StdEncoding.EncodeToString(sealed), nil
}
