package app

import (
	"io/fs"
	"testing"
)

func TestCacheShare(t *testing.T) {
	t.Parallel()
	const machine = "MemTotal:       24684092 kB\nMemFree:         1000000 kB\n"
	for _, c := range []struct {
		v2, v1, machine string // "": no such file
		size            int
	}{
		{"", "", machine, 24684092 << 8},
		{"max\n", "", machine, 24684092 << 8},
		{"536870912\n", "", machine, 128 << 20},
		{"", "9223372036854771712\n", machine, 24684092 << 8},
		{"", "1073741824\n", machine, 256 << 20},
		{"4294967296\n", "", "", 1 << 30},
		{"", "", "", 256 << 20},
		{"max\n", "", "Something: else\n", 256 << 20},
	} {
		got := cacheShare(func(path string) ([]byte, error) {
			text := map[string]string{"/sys/fs/cgroup/memory.max": c.v2, "/sys/fs/cgroup/memory/memory.limit_in_bytes": c.v1, "/proc/meminfo": c.machine}[path]
			if text == "" {
				return nil, fs.ErrNotExist
			}
			return []byte(text), nil
		})
		if got != c.size {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
