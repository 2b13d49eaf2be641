package sqlstore

import (
	"database/sql"
	"fmt"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

type outbox struct{ t *transaction }

// sealedMessage is what the sealed column of a message holds: all that may show a code.
type sealedMessage struct {
	Code     string            `json:",omitempty"`
	Subject  string            `json:",omitempty"`
	Body     string            `json:",omitempty"`
	Metadata map[string]string `json:",omitempty"`

	SenderMetadata map[string]string `json:",omitempty"`
	SDK            string            `json:",omitempty"`
	Sender         string            `json:",omitempty"`
	Function       string            `json:",omitempty"` // in the inbox
}

func outboxPlace(poolID, id string) []string { return []string{"outbox", poolID, id, "sealed"} }

const selectMessage = `SELECT id, request_id, pool_id, sub, username, source, medium, recipient, attribute, client_id, state,
	created_at, expires_at, next_try, tries, last_error, sealed FROM outbox `

func (s outbox) some(query string, args ...any) (list []*notice.Message, err error) {
	var sealed [][]byte
	err = s.t.rows(query, func(r *sql.Rows) error {
		var m notice.Message
		var created, expires, next int64
		var b []byte
		err := r.Scan(&m.ID, &m.RequestID, &m.PoolID, &m.Sub, &m.Username, &m.Source, &m.Medium, &m.To, &m.Attribute, &m.ClientID, &m.State,
			&created, &expires, &next, &m.Tries, &m.Error, &b)
		m.Created, m.Expires, m.NextTry = instant(created), instant(expires), instant(next)
		list, sealed = append(list, &m), append(sealed, b)
		return err
	}, args...)
	if err != nil {
		return nil, err
	}
	for i, m := range list {
		var x sealedMessage
		if err := s.t.unseal(m.PoolID, sealed[i], &x, outboxPlace(m.PoolID, m.ID)...); err != nil {
			return nil, err
		}
		m.Code, m.Subject, m.Body, m.Metadata = secret.New(x.Code), x.Subject, secret.New(x.Body), x.Metadata
		m.SenderMetadata, m.SDK, m.Sender = x.SenderMetadata, x.SDK, x.Sender
	}
	return list, nil
}

// unseal opens a document that is sealed with a pool's key.
func (t *transaction) unseal(poolID string, sealed []byte, v any, place ...string) error {
	key, err := t.key(poolID)
	if err != nil {
		return err
	}
	plain, err := t.open(key, sealed, place...)
	if err != nil {
		return err
	}
	if err := undocument(plain, v); err != nil {
		return t.fail(err)
	}
	return nil
}

// sealed seals a document with a pool's key.
func (t *transaction) sealed(poolID string, v any, place ...string) ([]byte, error) {
	key, err := t.key(poolID)
	if err != nil {
		return nil, err
	}
	doc, err := document(v)
	if err != nil {
		return nil, t.fail(err)
	}
	return t.seal(key, []byte(doc), place...), nil
}

func (s outbox) seal(m *notice.Message) ([]byte, error) {
	return s.t.sealed(m.PoolID, sealedMessage{Code: m.Code.Reveal(), Subject: m.Subject, Body: m.Body.Reveal(), Metadata: m.Metadata,
		SenderMetadata: m.SenderMetadata, SDK: m.SDK, Sender: m.Sender}, outboxPlace(m.PoolID, m.ID)...)
}

func (s outbox) Get(id string) (*notice.Message, error) {
	list, err := s.some(selectMessage+`WHERE id = $1`, id)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, store.ErrNotFound
	}
	return list[0], nil
}

// Due gives each of several nodes other messages when it is called in an update.
func (s outbox) Due(now time.Time, limit int) ([]*notice.Message, error) {
	query := selectMessage + `WHERE state IN ('compose', 'ready') AND next_try <= $1 ORDER BY next_try, id LIMIT $2`
	if s.t.write {
		query += s.t.s.d.skipLocked
	}
	return s.some(query, millis(now), limit)
}

func (s outbox) Add(messages ...*notice.Message) error {
	for _, m := range messages {
		sealed, err := s.seal(m)
		if err != nil {
			return err
		}
		n, err := s.t.exec(`INSERT INTO outbox (id, request_id, pool_id, sub, username, source, medium, recipient, attribute, client_id, state,
			created_at, expires_at, next_try, tries, last_error, sealed)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT DO NOTHING`,
			m.ID, m.RequestID, m.PoolID, m.Sub, m.Username, m.Source, string(m.Medium), m.To, m.Attribute, m.ClientID, string(m.State),
			millis(m.Created), millis(m.Expires), millis(m.NextTry), m.Tries, m.Error, sealed)
		if err != nil {
			return err
		}
		if n == 0 {
			return s.t.fail(fmt.Errorf("message id %s: %w", m.ID, store.ErrConflict))
		}
	}
	return nil
}

func (s outbox) Save(m *notice.Message) error {
	sealed, err := s.seal(m)
	if err != nil {
		return err
	}
	return s.t.must(`UPDATE outbox SET state = $2, expires_at = $3, next_try = $4, tries = $5, last_error = $6, recipient = $7, sealed = $8
		WHERE id = $1`, m.ID, string(m.State), millis(m.Expires), millis(m.NextTry), m.Tries, m.Error, m.To, sealed)
}

func (s outbox) Purge(before time.Time, limit int) (int, error) {
	n, err := s.t.exec(`DELETE FROM outbox WHERE id IN
		(SELECT id FROM outbox WHERE state IN ('sent', 'dead') AND created_at < $1 ORDER BY created_at, id LIMIT $2)`, millis(before), limit)
	return int(n), err
}

type inbox struct{ t *transaction }

func inboxPlace(poolID, id string) []string { return []string{"inbox", poolID, id, "sealed"} }

const selectDelivered = `SELECT id, pool_id, username, source, medium, recipient, arrived, sealed FROM inbox `

func (s inbox) List(to, poolID string, limit int) (list []*store.Delivered, err error) {
	where, args := "", []any{}
	switch {
	case to != "" && poolID != "":
		where, args = `WHERE recipient = $1 AND pool_id = $2 ORDER BY arrived DESC, id DESC LIMIT $3`, append(args, to, poolID, limit)
	case to != "":
		where, args = `WHERE recipient = $1 ORDER BY arrived DESC, id DESC LIMIT $2`, append(args, to, limit)
	case poolID != "":
		where, args = `WHERE pool_id = $1 ORDER BY arrived DESC, id DESC LIMIT $2`, append(args, poolID, limit)
	default:
		where, args = `ORDER BY arrived DESC, id DESC LIMIT $1`, append(args, limit)
	}
	var sealed [][]byte
	err = s.t.rows(selectDelivered+where, func(r *sql.Rows) error {
		var d store.Delivered
		var arrived int64
		var b []byte
		err := r.Scan(&d.ID, &d.PoolID, &d.Username, &d.Source, &d.Medium, &d.To, &arrived, &b)
		d.At = instant(arrived)
		list, sealed = append(list, &d), append(sealed, b)
		return err
	}, args...)
	if err != nil {
		return nil, err
	}
	for i, d := range list {
		var x sealedMessage
		if err := s.t.unseal(d.PoolID, sealed[i], &x, inboxPlace(d.PoolID, d.ID)...); err != nil {
			return nil, err
		}
		d.Code, d.Subject, d.Body, d.Function = secret.New(x.Code), x.Subject, secret.New(x.Body), x.Function
	}
	return list, nil
}

func (s inbox) Add(d *store.Delivered) error {
	sealed, err := s.t.sealed(d.PoolID, sealedMessage{Code: d.Code.Reveal(), Subject: d.Subject, Body: d.Body.Reveal(), Function: d.Function}, inboxPlace(d.PoolID, d.ID)...)
	if err != nil {
		return err
	}
	_, err = s.t.exec(`INSERT INTO inbox (id, pool_id, username, source, medium, recipient, arrived, sealed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
		d.ID, d.PoolID, d.Username, d.Source, string(d.Medium), d.To, millis(d.At), sealed)
	return err
}

func (s inbox) Clear() error {
	_, err := s.t.exec(`DELETE FROM inbox`)
	return err
}
