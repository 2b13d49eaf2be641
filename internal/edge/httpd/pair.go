package httpd

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// pair is a certificate with its key, read again when the files change.
type pair struct {
	certFile, keyFile string
	now               func() time.Time
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]time.Time // of the files, when they were read
	checked time.Time
}

// recheck is how often the files are looked at.
const recheck = 10 * time.Second

func loadPair(certFile, keyFile string, now func() time.Time) (*pair, error) {
	p := &pair{certFile: certFile, keyFile: keyFile, now: now}
	stamp, err := p.stamps()
	if err != nil {
		return nil, err
	}
	p.checked = now()
	return p, p.load(stamp)
}

func (p *pair) load(stamp [2]time.Time) error {
	c, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		return fmt.Errorf("read certificate %s: %w", p.certFile, err)
	}
	p.current, p.stamp = &c, stamp
	return nil
}

func (p *pair) stamps() (stamps [2]time.Time, err error) {
	for i, name := range []string{p.certFile, p.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return stamps, fmt.Errorf("read certificate: %w", err)
		}
		stamps[i] = info.ModTime()
	}
	return stamps, nil
}

// certificate is what a handshake gets. While new files do not fit together, as in the middle of a change, the old
// certificate goes on.
func (p *pair) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if now.Sub(p.checked) < recheck {
		return p.current, nil
	}
	p.checked = now
	stamp, err := p.stamps()
	if err == nil && stamp != p.stamp {
		err = p.load(stamp)
	}
	if err != nil {
		p.log.Error("certificate stays as it was", "cause", err)
	}
	return p.current, nil
}
