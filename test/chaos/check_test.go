//go:build linux

package chaos

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A checker that finds nothing must be one that would find something: each kind of damage is done to a copy of a sound database.
func TestCheckerFindsDamage(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Binary: &program, Writers: 16})
	if err := w.Run(); err != nil {
		t.Fatal(err)
	}
	err := await("some of everything", func() (bool, error) {
		err := w.drain()
		return w.Acknowledged > 700, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.load.pause(); err != nil {
		t.Fatal(err)
	}
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	if err := w.Servers[0].Stop(); err != nil {
		t.Fatal(err)
	}
	var acknowledged string
	for request := range w.changes {
		acknowledged = request
	}
	dir := t.TempDir()
	for _, tc := range []struct{ name, damage, found string }{
		{"none", `SELECT 1`, ""},
		{"lost update of one attribute", `UPDATE users SET attributes = json_set(attributes, '$.nickname', 'other') WHERE sub IN (SELECT sub FROM users LIMIT 1)`, "half updated"},
		{"lost update", `UPDATE users SET attributes = json_set(attributes, '$.nickname', 'other', '$."custom:mark"', 'other') WHERE sub IN (SELECT sub FROM users LIMIT 1)`, `nickname is "other" and was`},
		{"lost switch", `UPDATE users SET enabled = 1 - enabled`, "enabled is"},
		{"lost user", `DELETE FROM users WHERE sub IN (SELECT sub FROM users LIMIT 1)`, "is gone"},
		{"user that came back", `UPDATE users SET username = 'ghost' WHERE sub IN (SELECT sub FROM users LIMIT 1)`, "was deleted, or never acknowledged"},
		{"lost alias", `DELETE FROM logins WHERE login_key IN (SELECT login_key FROM logins WHERE space = 'email' LIMIT 1)`, "leads nowhere"},
		{"stray alias", `INSERT INTO logins SELECT pool_id, space, 'stray', sub FROM logins LIMIT 1`, "its owner by the records is"},
		{"two owners", `UPDATE users SET attributes = json_set(attributes, '$.email', 'both@example.com', '$.email_verified', 'true')`, "both own"},
		{"lost password", `DELETE FROM passwords WHERE sub IN (SELECT sub FROM passwords LIMIT 1)`, "has lost its password"},
		{"stray password", `UPDATE passwords SET sub = 'nobody' WHERE sub IN (SELECT sub FROM passwords LIMIT 1)`, "who does not exist"},
		{"lost code", `DELETE FROM codes`, "has a code for"},
		{"lost group", `DELETE FROM user_groups WHERE name IN (SELECT name FROM user_groups LIMIT 1)`, "is gone"},
		{"lost update of a group", `UPDATE user_groups SET description = 'other'`, "is described as"},
		{"group that came back", `INSERT INTO user_groups SELECT pool_id, 'ghost', description, role_arn, precedence, created_at, modified_at FROM user_groups LIMIT 1`, "was deleted, or never acknowledged"},
		{"lost resource server", `DELETE FROM resource_servers WHERE identifier IN (SELECT identifier FROM resource_servers LIMIT 1)`, "is gone"},
		{"lost update of a resource server", `UPDATE resource_servers SET scopes = '[]'`, "has the scopes []"},
		{"resource server that came back", `INSERT INTO resource_servers SELECT pool_id, 'ghost', name, scopes, managed, created_at, modified_at FROM resource_servers LIMIT 1`, "resource server ghost exists"},
		{"lost membership", `DELETE FROM memberships`, `group is "" and was acknowledged`},
		{"stray membership", `UPDATE memberships SET sub = 'nobody' WHERE sub IN (SELECT sub FROM memberships LIMIT 1)`, "one of them does not exist"},
		{"lost account", `UPDATE users SET external = NULL`, "the accounts by the records are"},
		{"lost way to an account", `DELETE FROM identities`, "the accounts by the records are"},
		{"lost line of the journal", `DELETE FROM journal WHERE request_id = '` + acknowledged + `'`, "is not in the journal"},
		{"stray line of the journal", `INSERT INTO journal SELECT 'stray', at, caller, source, operation, pool_id, sub, names FROM journal LIMIT 1`, "no call of unknown outcome can be"},
		{"message of no change", `INSERT INTO inbox SELECT 'stray', pool_id, username, source, medium, 'stray@example.com', arrived, sealed FROM inbox LIMIT 1`, "of a change that was not committed"},
	} {
		path := filepath.Join(dir, strings.ReplaceAll(tc.name, " ", "-")+".db")
		if _, err := w.DB.db.ExecContext(t.Context(), `VACUUM INTO '`+path+`'`); err != nil {
			t.Fatal(err)
		}
		db, err := openSQLite(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.db.ExecContext(t.Context(), tc.damage); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		c := *w.Checker
		c.db, c.violations = db, nil
		c.known, c.changes, c.pending, c.refused = maps.Clone(c.known), maps.Clone(c.changes), maps.Clone(c.pending), maps.Clone(c.refused)
		if _, err := c.Check(t.Context(), time.Time{}); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		all := strings.Join(c.violations, "\n")
		if tc.found == "" && all != "" {
			t.Errorf("%s: the checker finds\n%s", tc.name, all)
		}
		if !strings.Contains(all, tc.found) {
			t.Errorf("%s: the checker does not find %q:\n%s", tc.name, tc.found, all)
		}
	}
	delivered := map[string]int{"stray@example.com": 1}
	w.delivered(delivered)
	all := strings.Join(w.violations, "\n")
	for _, found := range []string{"was never delivered", "of a change that was not committed"} {
		if !strings.Contains(all, found) {
			t.Errorf("the checker does not find %q", found)
		}
	}
}
