package messages

import (
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// AlertIDs are the ids of the alerts that a change may cause.
type AlertIDs [notice.MaxAlerts]string

// DrawAlerts draws the ids of alerts, which has to happen before the transaction of the change: pass chance.UUID.
// While alerts are off it draws nothing.
func (m *Messages) DrawAlerts(uuid func() string) (ids AlertIDs) {
	if !m.TellChanges {
		return ids
	}
	for i := range ids {
		ids[i] = uuid()
	}
	return ids
}

// PostAlerts writes what the user is told of a change from before to after, at the addresses of before, into the
// change's transaction; replaced is that of notice.AlertsOf. What it returns goes to Flush with the other
// messages of the change, or to Leave: delivery is always the worker's, and a request neither waits for it nor reports
// it. While alerts are off there are none.
func (m *Messages) PostAlerts(tx store.Tx, c *dispatch.Call, before, after *user.Record, replaced string, ids AlertIDs) ([]*notice.Message, error) {
	if !m.TellChanges {
		return nil, nil
	}
	var msgs []*notice.Message
	for i, a := range notice.AlertsOf(c.Pool, before, after, replaced) {
		// Rendered for the user as before: an address that is new is nothing for the reader at the old one.
		msg, err := m.Prepare(c, c.Pool, before, Want{ID: ids[i], Source: a.Source, Attribute: a.Attribute, To: a.To, Later: true})
		if err != nil {
			return nil, err
		}
		msgs = append(msgs, msg)
	}
	return msgs, m.Post(tx, msgs...)
}
