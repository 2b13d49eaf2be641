package clients_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// On a machine with one core everything would stand still while the writer waits for the disk.
func TestProcessorForTheWriter(t *testing.T) {
	t.Parallel()
	processors := runtime.GOMAXPROCS(0) + 1
	if os.Getenv("GOMAXPROCS") != "" {
		processors--
	}
	s := dev(t, "--metrics-listen", "127.0.0.1:0")
	r, err := http.Get(s.Metrics) //nolint:noctx // the server ends with the test
	want.NoError(t, err)
	text, err := io.ReadAll(r.Body)
	want.NoError(t, err)
	want.NoError(t, r.Body.Close())
	want.Contains(t, string(text), fmt.Sprintf("\ngo_sched_gomaxprocs_threads %d\n", processors))
}
