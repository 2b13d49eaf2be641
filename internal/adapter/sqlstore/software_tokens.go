package sqlstore

import (
	"database/sql"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/totp"
)

type softwareTokens struct{ t *transaction }

// sealedToken is what the sealed column of an authenticator app holds.
type sealedToken struct {
	Key, Pending []byte `json:",omitempty"`
	Name         string `json:",omitempty"`
}

func tokenPlace(poolID, sub string) []string {
	return []string{"software_tokens", poolID, sub, "sealed"}
}

func (s softwareTokens) Get(poolID, sub string) (*credential.SoftwareToken, error) {
	t := &credential.SoftwareToken{PoolID: poolID, Sub: sub}
	var last int64
	var sealed []byte
	err := s.t.row(`SELECT last_step, sealed FROM software_tokens WHERE pool_id = $1 AND sub = $2`, func(r *sql.Rows) error {
		return r.Scan(&last, &sealed)
	}, poolID, sub)
	if err != nil {
		return nil, err
	}
	var x sealedToken
	if err := s.t.unseal(poolID, sealed, &x, tokenPlace(poolID, sub)...); err != nil {
		return nil, err
	}
	t.Key, t.Pending, t.Name, t.Last = x.Key, x.Pending, x.Name, totp.Step(last)
	return t, nil
}

// Put never lets the last step fall back, whatever the caller read before.
func (s softwareTokens) Put(t *credential.SoftwareToken) error {
	sealed, err := s.t.sealed(t.PoolID, sealedToken{t.Key, t.Pending, t.Name}, tokenPlace(t.PoolID, t.Sub)...)
	if err != nil {
		return err
	}
	_, err = s.t.exec(`INSERT INTO software_tokens AS old (pool_id, sub, last_step, sealed) VALUES ($1, $2, $3, $4)
		ON CONFLICT (pool_id, sub) DO UPDATE SET sealed = excluded.sealed,
		last_step = CASE WHEN old.last_step > excluded.last_step THEN old.last_step ELSE excluded.last_step END`,
		t.PoolID, t.Sub, int64(t.Last), sealed)
	return err
}

func (s softwareTokens) Delete(poolID, sub string) error {
	_, err := s.t.exec(`DELETE FROM software_tokens WHERE pool_id = $1 AND sub = $2`, poolID, sub)
	return err
}

// storedMFA is the stored form of a user.MFA.
type storedMFA struct {
	Enabled   []user.Factor `json:",omitempty"`
	Preferred user.Factor   `json:",omitempty"`
}

// encodeMFA is NULL for a user who has turned nothing on.
func encodeMFA(m user.MFA) (any, error) {
	if m == (user.MFA{}) {
		return nil, nil
	}
	return document(storedMFA{m.Enabled(), m.Preferred})
}

func decodeMFA(text string) (m user.MFA, err error) {
	if len(text) == 0 {
		return m, nil
	}
	var x storedMFA
	if err := undocument([]byte(text), &x); err != nil {
		return m, err
	}
	for _, f := range x.Enabled {
		m.Set(f, true)
	}
	m.Preferred = x.Preferred
	return m, nil
}
