package sqlstore

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/poolhouse/poolhouse/internal/domain/user"
)

// userRow is a user as the database keeps it.
type userRow struct {
	number                                                       int64 // of the row, on SQLite
	version, created, modified, enabled, smsOption               int64
	temporarySince                                               sql.NullInt64
	sub, username, status, signInAttribute, attributes, external string
	pending, mfa                                                 string
}

// rowMark is a column for the number of a row: 0, for which SQLite reads the number.
const rowMark = `/* row */ 0`

// userColumns are read by scanUserRow.
const userColumns = `u.sub, u.username, u.version, u.created_at, u.modified_at, u.status, u.enabled, u.attributes, coalesce(u.pending, ''),
		u.temporary_since, u.sign_in_attribute, coalesce(u.external, ''), u.sms_option, coalesce(u.mfa, ''), ` + rowMark + ` `

// scanUserRow reads a user, and the columns that follow it.
func scanUserRow(r *sql.Rows, more ...any) (*userRow, error) {
	w := new(userRow)
	return w, r.Scan(append([]any{&w.sub, &w.username, &w.version, &w.created, &w.modified, &w.status, &w.enabled, &w.attributes, &w.pending,
		&w.temporarySince, &w.signInAttribute, &w.external, &w.smsOption, &w.mfa, &w.number}, more...)...)
}

// record is the user of the row.
func (w *userRow) record(poolID string) (*user.Record, error) {
	u := &user.Record{
		PoolID: poolID, Sub: w.sub, Username: w.username, Version: w.version, Created: instant(w.created), Modified: instant(w.modified),
		Status: user.Status(w.status), Enabled: w.enabled != 0, TemporarySince: optionalInstant(w.temporarySince),
		SignInAttribute: w.signInAttribute, SMSOption: w.smsOption != 0,
	}
	var errs [4]error
	u.Attributes, errs[0] = decodeAttributes(w.attributes)
	u.Pending, errs[1] = decodePending(w.pending)
	errs[2] = decodeExternal(w.external, u)
	u.MFA, errs[3] = decodeMFA(w.mfa)
	for _, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("read user %s: %w", w.sub, err)
		}
	}
	return u, nil
}

// changed is the row after a change of its user.
func (w *userRow) changed(c *change) *userRow {
	n := *w
	n.version, n.modified, n.attributes = w.version+1, c.modified, c.attributes
	values := c.values
	for i := range optionalColumns {
		if c.mask&(1<<i) == 0 {
			continue
		}
		v := values[0]
		values = values[1:]
		text, _ := v.(string) // NULL reads as no text
		number, given := v.(int64)
		switch optionalColumns[i] {
		case "status":
			n.status = text
		case "enabled":
			n.enabled = number
		case "pending":
			n.pending = text
		case "temporary_since":
			n.temporarySince = sql.NullInt64{Int64: number, Valid: given}
		case "sign_in_attribute":
			n.signInAttribute = text
		case "external":
			n.external = text
		case "sms_option":
			n.smsOption = number
		case "mfa":
			n.mfa = text
		}
	}
	return &n
}

// append writes the row for the cache.
func (w *userRow) append(b []byte) []byte {
	for _, n := range [...]int64{w.number, w.version, w.created, w.modified, w.enabled, w.smsOption, flag(w.temporarySince.Valid), w.temporarySince.Int64} {
		b = binary.AppendVarint(b, n)
	}
	return appendTexts(b, w.sub, w.username, w.status, w.signInAttribute, w.attributes, w.external, w.pending, w.mfa)
}

var errKept = errors.New("not what the cache was given")

// parseUserRow reads what append wrote.
func parseUserRow(s string) (*userRow, error) {
	w := new(userRow)
	var valid int64
	for _, n := range [...]*int64{&w.number, &w.version, &w.created, &w.modified, &w.enabled, &w.smsOption, &valid, &w.temporarySince.Int64} {
		var ok bool
		if *n, s, ok = cutNumber(s); !ok {
			return nil, errKept
		}
	}
	w.temporarySince.Valid = valid != 0
	if s, ok := cutTexts(s, &w.sub, &w.username, &w.status, &w.signInAttribute, &w.attributes, &w.external, &w.pending, &w.mfa); !ok || s != "" {
		return nil, errKept
	}
	return w, nil
}

// cutNumber reads one varint from the beginning of a text.
func cutNumber(s string) (n int64, rest string, ok bool) {
	var u uint64
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		u |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return int64(u>>1) ^ -int64(u&1), s[i+1:], true
		}
	}
	return 0, "", false
}

func appendTexts(b []byte, texts ...string) []byte {
	for _, s := range texts {
		b = append(binary.AppendVarint(b, int64(len(s))), s...)
	}
	return b
}

// cutTexts reads texts from the beginning of a text.
func cutTexts(s string, texts ...*string) (rest string, ok bool) {
	for _, text := range texts {
		n, after, ok := cutNumber(s)
		if !ok || n < 0 || n > int64(len(after)) {
			return "", false
		}
		*text, s = after[:n], after[n:]
	}
	return s, true
}
