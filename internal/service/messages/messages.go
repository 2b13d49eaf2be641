// Package messages carries what users are told from the change that caused it to the sender: it drafts the outbox's
// rows inside a transaction, runs the functions that may change a text or refuse a user, makes the one delivery
// attempt of a request, and settles what became of a message.
//
// What a message says is decided in domain/notice, when it is tried again in service/jobs, and how it travels in the
// adapters behind port/message and port/trigger.
//
// An operation uses it in three steps:
//
//	msg, err := m.Prepare(c, p, after, want) // in the transaction; ids and codes were drawn before
//	err = m.Post(tx, msg)                    // in the transaction, with the change
//	err = m.Flush(ctx, c, p, after, msg)     // after the commit
package messages

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/keyring"
	"github.com/poolhouse/poolhouse/internal/port/message"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

const (
	// composeLease keeps the worker away from a message whose function the request runs: three tries of five
	// seconds, and some.
	composeLease = 25 * time.Second
	// attemptLease keeps the worker away from a message that the request tries to deliver.
	attemptLease = 5 * time.Second
	// attemptLimit is the time that a request gives to a delivery.
	attemptLimit = 2 * time.Second
	// quietTime is how long requests leave delivery to the worker after an attempt that took the whole limit, so
	// that a dead mail server delays one request and not all of them.
	quietTime = 10 * time.Second
	// settleLimit is the time for writing down an outcome when the caller has gone.
	settleLimit = 10 * time.Second
	// longestReason is how much of an error is kept with a message, in bytes.
	longestReason = 500
)

// Messages does all this. It is safe for concurrent use.
type Messages struct {
	Store store.Store
	Hooks trigger.Runner
	// Email and SMS carry messages; nil: they end in the inbox.
	Email, SMS message.Sender
	// Keys makes the data keys under which custom senders get codes, and Random draws what else that needs. It is apart from
	// Chance, so that a seeded server draws the same for its users however often a message is tried.
	Keys   keyring.Ring
	Random io.Reader
	Clock  clock.Clock // the domain's: codes die by it
	Real   clock.Clock // leases and tries go by it; nobody moves it
	Chance io.Reader   // draws the jitter between tries
	Log    *slog.Logger
	// Base is the address at which users reach this server, without a slash at its end: links in messages begin with it.
	Base string
	// Wake tells the worker that there is something to deliver; it must not block.
	Wake    func()
	Observe Observer
	// AttemptLimit replaces the two seconds that a request gives to a delivery; 0 leaves them.
	AttemptLimit time.Duration
	// TellChanges sends alerts: users learn of a change at the address that they had before it.
	TellChanges bool

	quietEmail, quietSMS atomic.Int64 // until then, in milliseconds of real time, requests make no attempt
}

// Observer is told what happened, for metrics. Nil members are not called.
type Observer struct {
	// Message gets "sent", "retry" or "dead".
	Message func(m notice.Medium, outcome string)
	// Trigger gets "ok" or the code of the fault.
	Trigger func(name, outcome string, took time.Duration)
}

// Want is a message that a change asks for.
type Want struct {
	ID        string // drawn before the transaction, chance.UUID
	Source    string // notice.SourceUpdateAttribute, ...
	Attribute string // "email" or "phone_number": which address To is, and so how the message travels
	To        string
	Code      secret.Text // or the temporary password
	Metadata  map[string]string
	ClientID  string // "" where the operation knows none
	Expires   time.Time
	// Later leaves all of the message to the worker, so that the caller does not notice by the time that there is one.
	// The operation calls Leave then, and not Flush.
	Later bool
}

// Prepare drafts a message to r, the user as it will be after the change. It returns nil when there is nothing to
// deliver, because the pool's template lacks its placeholders; Post and Flush pass over nil. An SMS in a pool
// without SMS configuration is an InvalidParameterException.
//
// The real clock is read for the message's lease alone: a transaction that runs twice gets a later one, which
// changes nothing.
func (m *Messages) Prepare(c *dispatch.Call, p *pool.Pool, r *user.Record, w Want) (*notice.Message, error) {
	msg := &notice.Message{
		ID: w.ID, RequestID: c.RequestID, PoolID: p.ID, Sub: r.Sub, Username: r.Username, Source: w.Source,
		Medium: notice.MediumOf(w.Attribute), To: w.To, Attribute: w.Attribute, Code: w.Code, ClientID: w.ClientID,
		State: notice.Compose, Created: c.Now, Expires: w.Expires, NextTry: m.Real.Now(),
	}
	m.assign(c, p, msg, w.Metadata)
	if msg.Medium == notice.SMS && p.Sms == nil && msg.Sender == "" {
		return nil, fault.NoSmsConfiguration()
	}
	if composed(p, msg) {
		msg.Metadata = w.Metadata
		if !w.Later {
			msg.NextTry = msg.NextTry.Add(composeLease)
		}
		return msg, nil
	}
	if !m.fill(p, msg, r, notice.TemplateOf(p, msg.Source, msg.Medium)) {
		return nil, nil
	}
	if !w.Later && m.attempts(c, msg) {
		msg.NextTry = msg.NextTry.Add(attemptLease)
	}
	return msg, nil
}

// composed reports whether the pool's CustomMessage function has a say in the message.
func composed(p *pool.Pool, msg *notice.Message) bool {
	return p.Lambda.Function(notice.CustomMessage) != "" && !notice.IsAlert(msg.Source)
}

// attempts reports whether the request itself tries to deliver the message, because it can report a refusal.
func (m *Messages) attempts(c *dispatch.Call, msg *notice.Message) bool {
	return m.sender(msg.Medium) != nil && reports(c.Spec, msg.Medium) && !notice.IsAlert(msg.Source) && msg.Sender == ""
}

// fill makes a message ready, unless the template lacks what the message is for. A custom sender needs no text.
func (m *Messages) fill(p *pool.Pool, msg *notice.Message, r *user.Record, t notice.Template) bool {
	complete := notice.Complete(p, msg.Source, msg.Medium, t.Body)
	if !complete && msg.Sender == "" {
		return false
	}
	if complete {
		link := ""
		if notice.ByLink(p, msg.Source, msg.Medium) {
			link = notice.Link(m.Base, msg)
		}
		msg.Subject = t.Subject
		msg.Body = secret.New(notice.Render(msg.Medium, t.Body, msg.Code.Reveal(), notice.Addressee(r), link))
	}
	msg.State, msg.Metadata = notice.Ready, nil
	return true
}

// atOnce reports whether a message is delivered by writing it into the inbox together with its change.
func (m *Messages) atOnce(msg *notice.Message) bool {
	return msg.State == notice.Ready && m.sender(msg.Medium) == nil && msg.Sender == ""
}

// Post writes drafted messages into the transaction of their change. What is ready and goes to the inbox is
// delivered right here and needs no row in the outbox.
func (m *Messages) Post(tx store.Tx, msgs ...*notice.Message) error {
	for _, msg := range msgs {
		if msg == nil {
			continue
		}
		write := func() error { return tx.Outbox().Add(msg) }
		if m.atOnce(msg) {
			write = func() error { return tx.Inbox().Add(entry(msg, "")) }
		}
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

// entry is a message as the inbox shows it. Its time is the domain's, at which the change was made. function is the custom sender's
// ARN for a message that went there, "" for one that was meant for the inbox.
func entry(msg *notice.Message, function string) *store.Delivered {
	return &store.Delivered{ID: msg.ID, PoolID: msg.PoolID, Username: msg.Username, Source: msg.Source, Medium: msg.Medium, To: msg.To,
		Subject: msg.Subject, Body: msg.Body, Code: msg.Code, Function: function, At: msg.Created}
}

// Flush does for posted messages what the request owes its caller: it runs the CustomMessage function, and where
// the operation can report it, tries to deliver once. The first fault is returned; the change stays, whatever
// happens here. The rest is left to the worker.
func (m *Messages) Flush(ctx context.Context, c *dispatch.Call, p *pool.Pool, r *user.Record, msgs ...*notice.Message) error {
	var steps []step
	var first error
	waiting := false
	for _, msg := range inOrder(msgs) {
		s, err := m.handle(ctx, c, p, r, msg)
		// What is no fault is a caller who gave up halfway, or a defect of ours: the change is committed and the worker
		// goes on, so that an error here would only make the caller repeat what is done.
		if _, isFault := errors.AsType[*fault.Error](err); isFault && first == nil {
			first = err
		} else if err != nil && !isFault && ctx.Err() == nil {
			m.Log.ErrorContext(ctx, "message left for later", "message", msg.ID, "request", c.RequestID, "pool", p.ID, "error", err)
		}
		if s.changed {
			steps = append(steps, s)
		}
		waiting = waiting || msg.State == notice.Compose || msg.State == notice.Ready
	}
	if err := m.settle(ctx, steps...); err != nil {
		// The change is committed and the messages are in the outbox: the worker does again what was not written down.
		m.Log.ErrorContext(ctx, "outcome of messages not stored", "request", c.RequestID, "pool", p.ID, "error", err)
		waiting = true
	}
	if waiting && m.Wake != nil {
		m.Wake()
	}
	return first
}

// Leave is Flush for messages that were prepared with Later: what Post has not delivered is the worker's.
func (m *Messages) Leave(msgs ...*notice.Message) {
	waiting := false
	for _, msg := range inOrder(msgs) {
		if m.atOnce(msg) {
			msg.Close(notice.Sent, "")
			m.count(msg.Medium, "sent")
			continue
		}
		waiting = true
	}
	if waiting && m.Wake != nil {
		m.Wake()
	}
}

// inOrder are the messages that exist, phone before e-mail (the order is unconfirmed).
func inOrder(msgs []*notice.Message) []*notice.Message {
	out := slices.DeleteFunc(slices.Clone(msgs), func(msg *notice.Message) bool { return msg == nil })
	slices.SortStableFunc(out, func(a, b *notice.Message) int { return strings.Compare(string(b.Medium), string(a.Medium)) })
	return out
}

// step is what happened to a message and has to be written down.
type step struct {
	msg     *notice.Message
	changed bool
	inbox   *store.Delivered // to be added together with the message's state
}

// handle does the request's part for one message.
func (m *Messages) handle(ctx context.Context, c *dispatch.Call, p *pool.Pool, r *user.Record, msg *notice.Message) (step, error) {
	s := step{msg: msg}
	if m.atOnce(msg) {
		msg.Close(notice.Sent, "") // Post has delivered it
		m.count(msg.Medium, "sent")
		return s, nil
	}
	if msg.State == notice.Compose {
		if err := m.compose(ctx, p, r, msg, notice.CallerOf(c.UserAgent, msg.ClientID)); err != nil {
			if _, isFault := errors.AsType[*fault.Error](err); !isFault {
				return s, err // given up halfway: the worker runs the function again
			}
			m.bury(ctx, msg, err)
			s.changed = true
			return s, err
		}
		s.changed = true
		if msg.State == notice.Dead {
			return s, nil
		}
		msg.NextTry = m.Real.Now()
	}
	if msg.Sender != "" {
		return s, nil // custom senders are the worker's
	}
	if m.sender(msg.Medium) != nil && (!m.attempts(c, msg) || m.quiet(msg.Medium)) {
		return s, nil
	}
	limit := m.AttemptLimit
	if limit == 0 {
		limit = attemptLimit
	}
	attempt, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := m.deliver(attempt, p, r, &s)
	if attempt.Err() != nil && ctx.Err() == nil {
		m.hush(msg.Medium)
	}
	if refusal, ok := errors.AsType[*message.Refusal](err); ok {
		return s, report(c.Spec, refusal)
	}
	return s, nil
}

// compose runs the CustomMessage function and fills the message. A message for which neither the function nor the
// pool has a usable text ends here, without a fault.
func (m *Messages) compose(ctx context.Context, p *pool.Pool, r *user.Record, msg *notice.Message, caller notice.Caller) error {
	template := notice.TemplateOf(p, msg.Source, msg.Medium)
	if composed(p, msg) { // the function may have been removed since the message was drafted
		custom, err := m.custom(ctx, p, notice.CustomMessageEvent(p, r, msg, caller))
		if err != nil {
			return err
		}
		template = custom.Over(template, msg.Medium)
	}
	if !m.fill(p, msg, r, template) {
		m.bury(ctx, msg, errors.New("the template lacks a placeholder"))
	}
	return nil
}

// deliver hands the message of a step to its sender, or prepares its place in the inbox, and notes the outcome in
// both. Its error is what the sender said.
func (m *Messages) deliver(ctx context.Context, p *pool.Pool, r *user.Record, s *step) error {
	msg := s.msg
	s.changed = true
	if msg.Sender != "" {
		if function := p.Lambda.Function(msg.Sender); function != "" {
			return m.hand(ctx, p, r, function, s)
		}
		if msg.Body.IsZero() { // the custom sender has gone, and there was no text without it
			m.bury(ctx, msg, errors.New("the template lacks a placeholder"))
			return nil
		}
	}
	sender := m.sender(msg.Medium)
	if sender == nil {
		s.inbox = entry(msg, "")
		msg.Close(notice.Sent, "")
		m.count(msg.Medium, "sent")
		return nil
	}
	out := &message.Message{ID: msg.ID, PoolID: msg.PoolID, Username: msg.Username, Source: msg.Source, Medium: msg.Medium,
		To: msg.To, Subject: msg.Subject, Body: msg.Body, Code: msg.Code}
	if msg.Medium == notice.Email {
		out.From, out.ReplyTo = notice.From(p)
	}
	_, err := sender.Send(ctx, out)
	if err == nil {
		msg.Close(notice.Sent, "")
		m.count(msg.Medium, "sent")
		return nil
	}
	msg.Tries++
	if _, refused := errors.AsType[*message.Refusal](err); refused {
		m.bury(ctx, msg, err)
	} else {
		m.postpone(ctx, msg, err)
	}
	return err
}

// bury ends a message that will not be delivered.
func (m *Messages) bury(ctx context.Context, msg *notice.Message, cause error) {
	why := reason(msg, cause)
	msg.Close(notice.Dead, why)
	m.count(msg.Medium, "dead")
	m.Log.WarnContext(ctx, "message not delivered", "message", msg.ID, "pool", msg.PoolID, "source", msg.Source, "medium", msg.Medium,
		"tries", msg.Tries, "reason", why)
}

// postpone leaves a message for a later try.
func (m *Messages) postpone(ctx context.Context, msg *notice.Message, cause error) {
	var jitter [1]byte
	if _, err := io.ReadFull(m.Chance, jitter[:]); err != nil {
		m.Log.ErrorContext(ctx, "no randomness for the pause between tries", "error", err)
	}
	pause := notice.Pause(msg.Tries, jitter[0])
	msg.Error, msg.NextTry = reason(msg, cause), m.Real.Now().Add(pause)
	m.count(msg.Medium, "retry")
	m.Log.WarnContext(ctx, "message delayed", "message", msg.ID, "pool", msg.PoolID, "source", msg.Source, "medium", msg.Medium,
		"tries", msg.Tries, "pause", pause, "reason", msg.Error)
}

// reason is an error as it may be stored and logged: without the address, the user and what is secret, should the other
// side have repeated them.
func reason(msg *notice.Message, err error) string {
	text := strings.ToValidUTF8(err.Error(), "�")
	for _, hide := range []struct{ text, by string }{
		{msg.Body.Reveal(), secret.Hidden}, {msg.Code.Reveal(), secret.Hidden}, {notice.SenderPlaintext(msg), secret.Hidden}, {msg.To, notice.Mask(msg.Medium, msg.To)},
	} {
		if hide.text != "" {
			text = strings.ReplaceAll(text, hide.text, hide.by)
		}
	}
	if len(text) > longestReason {
		text = strings.ToValidUTF8(text[:longestReason], "") + "…"
	}
	return text
}

// settle writes down what happened to messages, in one transaction, even when the caller has gone. A message that
// somebody else has finished meanwhile, or that went with its user, is left alone.
func (m *Messages) settle(ctx context.Context, steps ...step) error {
	if len(steps) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleLimit)
	defer cancel()
	return m.Store.Update(ctx, store.Scope{}, func(tx store.Tx) error {
		for _, s := range steps {
			stored, err := tx.Outbox().Get(s.msg.ID)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if stored.State == notice.Sent || stored.State == notice.Dead {
				continue
			}
			if s.inbox != nil {
				if err := tx.Inbox().Add(s.inbox); err != nil {
					return err
				}
			}
			if err := tx.Outbox().Save(s.msg); err != nil {
				return err
			}
		}
		return nil
	})
}

// Deliver takes a message of the outbox as far as it gets now: it runs the function for one that was left without text,
// hands it to its sender, and writes down the outcome. Its error means that the outcome is not stored, so that the
// message will come again.
func (m *Messages) Deliver(ctx context.Context, msg *notice.Message) error {
	s := step{msg: msg, changed: true}
	p, r, err := m.load(ctx, msg)
	switch {
	case errors.Is(err, store.ErrNotFound):
		m.bury(ctx, msg, errors.New("the user is gone"))
		return m.settle(ctx, s)
	case err != nil:
		return err
	case msg.Expired(m.Clock.Now()):
		m.bury(ctx, msg, expiry(msg))
		return m.settle(ctx, s)
	}
	if msg.State == notice.Compose {
		if err := m.compose(ctx, p, r, msg, notice.CallerOf("", msg.ClientID)); err != nil {
			f, isFault := errors.AsType[*fault.Error](err)
			switch {
			case !isFault:
				return err
			case f.Code == fault.UnexpectedLambdaException: // not the function's word: it may be back soon
				msg.Tries++
				m.postpone(ctx, msg, err)
			default:
				m.bury(ctx, msg, err)
			}
			return m.settle(ctx, s)
		}
	}
	if msg.State == notice.Ready {
		// What the sender said is noted in the message; there is nobody else to tell.
		_ = m.deliver(ctx, p, r, &s)
	}
	return m.settle(ctx, s)
}

// expiry says why an expired message is given up, with the last failure.
func expiry(msg *notice.Message) error {
	if msg.Error == "" {
		return errors.New("too late to deliver")
	}
	return errors.New("too late to deliver; last try: " + msg.Error)
}

func (m *Messages) load(ctx context.Context, msg *notice.Message) (p *pool.Pool, r *user.Record, err error) {
	err = m.Store.View(ctx, func(v store.View) (err error) {
		if p, err = v.Pools().Get(msg.PoolID); err != nil {
			return err
		}
		r, err = v.Users().BySub(msg.PoolID, msg.Sub)
		return err
	})
	return p, r, err
}

func (m *Messages) sender(medium notice.Medium) message.Sender {
	if medium == notice.SMS {
		return m.SMS
	}
	return m.Email
}

func (m *Messages) quietUntil(medium notice.Medium) *atomic.Int64 {
	if medium == notice.SMS {
		return &m.quietSMS
	}
	return &m.quietEmail
}

func (m *Messages) quiet(medium notice.Medium) bool {
	return m.Real.Now().UnixMilli() < m.quietUntil(medium).Load()
}

func (m *Messages) hush(medium notice.Medium) {
	m.quietUntil(medium).Store(m.Real.Now().Add(quietTime).UnixMilli())
}

func (m *Messages) count(medium notice.Medium, outcome string) {
	if m.Observe.Message != nil {
		m.Observe.Message(medium, outcome)
	}
}

// reports says whether an operation can tell its caller that a message was refused.
func reports(spec *api.Spec, medium notice.Medium) bool {
	if spec.Lists(fault.CodeDeliveryFailureException) {
		return true
	}
	if medium == notice.SMS {
		return spec.Lists(fault.InvalidSmsRoleTrustRelationshipException) || spec.Lists(fault.InvalidSmsRoleAccessPolicyException)
	}
	return spec.Lists(fault.InvalidEmailRoleAccessPolicyException)
}

// report is the fault of a refusal that the operation lists; nil when it lists none.
func report(spec *api.Spec, refusal *message.Refusal) error {
	var f *fault.Error
	switch refusal.Kind {
	case message.SmsRoleTrust:
		f = fault.SmsRoleTrust()
	case message.SmsRoleAccess:
		f = fault.SmsRoleAccess()
	case message.EmailIdentity:
		f = fault.EmailRoleAccess()
	case message.Recipient:
		f = fault.DeliveryFailed()
	default:
		return nil
	}
	switch {
	case spec.Lists(f.Code):
		return f.Because(refusal)
	case spec.Lists(fault.CodeDeliveryFailureException):
		return fault.DeliveryFailed().Because(refusal)
	}
	return nil
}
