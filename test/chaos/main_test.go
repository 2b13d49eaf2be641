//go:build linux

package chaos

import (
	"crypto/rand"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"testing"
)

// program is what all tests run.
var program Binary

func TestMain(m *testing.M) {
	if code, was := Load(); was {
		os.Exit(code)
	}
	// These tests wait more than they compute, so that more of them run at a time than there are processors.
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := program.Remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// writeKey makes a key-encryption key that several servers share.
func writeKey(path string) error {
	key := make([]byte, 32)
	rand.Read(key) // never fails: crypto/rand ends the program instead
	return os.WriteFile(path, []byte(hex.EncodeToString(key)+"\n"), 0o600)
}
