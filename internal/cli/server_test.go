package cli

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func TestExplainBusyPort(t *testing.T) {
	t.Parallel()
	busy := fmt.Errorf("listen tcp: %w", syscall.EADDRINUSE)
	text := explain(busy, "127.0.0.1:9229").Error()
	want.Contains(t, text, "another program listens on 127.0.0.1:9229 already")
	want.Contains(t, text, "--listen 127.0.0.1:9230")
	want.Contains(t, text, "Node's debugger")
	want.True(t, !strings.Contains(explain(busy, "127.0.0.1:80").Error(), "Node"), "only that port is Node's")
	want.Contains(t, explain(fmt.Errorf("listen tcp: %w", syscall.EACCES), "127.0.0.1:80").Error(), "1024")
	other := fmt.Errorf("something else")
	want.Equal(t, explain(other, "127.0.0.1:9229").Error(), other.Error())
}
