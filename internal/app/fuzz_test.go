package app

import "testing"

// FuzzToJSON reads odd files to apply: an error or JSON, and no panic.
func FuzzToJSON(f *testing.F) {
	for _, seed := range []string{"Pools: []", "Pools: !", "Pools: [", "{\"Pools\": [{\"PoolName\": \"x\"}]}", "a: &x [*x]", "a: 1\na: 2", "!!binary x", "? ", "- - :", "a: |\n b", "<<: {a: 1}", "\x00", "a: *b"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		asJSON, err := toJSON(text)
		if (err == nil) != (asJSON != nil) {
			t.Errorf("JSON %q and error %v", asJSON, err)
		}
	})
}
