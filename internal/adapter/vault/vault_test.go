package vault

import (
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	want.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	want.NoError(t, os.Chmod(path, mode))
	return path
}

func sample() []byte {
	key := make([]byte, keySize)
	for i := range key {
		key[i] = byte(0xf0 + i)
	}
	return key
}

func TestFileKeyReadsEveryWriting(t *testing.T) {
	t.Parallel()
	hexadecimal, err := FileKey(write(t, hex.EncodeToString(sample())+"\n", 0o600), false)
	want.NoError(t, err)
	for _, text := range []string{
		strings.ToUpper(hex.EncodeToString(sample())),
		base64.StdEncoding.EncodeToString(sample()),
		"  " + base64.RawURLEncoding.EncodeToString(sample()) + "\r\n",
	} {
		got, err := FileKey(write(t, text, 0o400), false)
		want.NoError(t, err)
		want.Equal(t, got.ID(), hexadecimal.ID())
	}
}

func TestFileKeyRefuses(t *testing.T) {
	t.Parallel()
	good := hex.EncodeToString(sample())
	for _, c := range []struct {
		name string
		path string
		want error
	}{
		{"readable by the group", write(t, good, 0o640), ErrExposed},
		{"readable by everybody", write(t, good, 0o604), ErrExposed},
		{"writable by the group", write(t, good, 0o620), ErrExposed},
		{"too short", write(t, good[2:], 0o600), ErrNotKey},
		{"too long", write(t, good+"00", 0o600), ErrNotKey},
		{"empty", write(t, "", 0o600), ErrNotKey},
		{"a database", write(t, "SQLite format 3\x00"+strings.Repeat("x", 8192), 0o600), ErrNotKey},
		{"a folder", t.TempDir(), ErrNotKey},
		{"missing", filepath.Join(t.TempDir(), "key"), ErrNoKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := FileKey(c.path, false)
			want.Error(t, err, c.want)
			want.True(t, !strings.Contains(err.Error(), good), "the error %q hides the key", err)
		})
	}
}

func TestFileKeyMakesTheFileOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "key")
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			kek, err := FileKey(path, true)
			if err == nil {
				ids[i] = kek.ID().String()
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		want.Equal(t, id, ids[0])
	}
	want.True(t, ids[0] != "", "a key was made")

	info, err := os.Stat(path)
	want.NoError(t, err)
	want.Equal(t, info.Mode().Perm(), os.FileMode(0o600))
	entries, err := os.ReadDir(filepath.Dir(path))
	want.NoError(t, err)
	want.Equal(t, len(entries), 1)

	other, err := FileKey(filepath.Join(t.TempDir(), "key"), true)
	want.NoError(t, err)
	want.True(t, other.ID().String() != ids[0], "two installations have different keys")
}
