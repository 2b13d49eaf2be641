//go:build linux

package chaos

import (
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
	code := m.Run()
	if err := program.Remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
