// Package smtpd is an SMTP server for tests: it keeps what it receives and can be told to refuse.
package smtpd

import (
	"crypto/tls"
	"io"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// The user that the server knows.
const (
	Username = "pools"
	Password = "correct horse"
)

// Mail is a message that the server took.
type Mail struct {
	From, To string // of the envelope
	Raw      string
}

// Header is a header field of the mail.
func (m Mail) Header(name string) string {
	parsed, err := mail.ReadMessage(strings.NewReader(m.Raw))
	if err != nil {
		return ""
	}
	return parsed.Header.Get(name)
}

// Server is an SMTP server on a free port of this machine.
type Server struct {
	Address string

	mu       sync.Mutex
	mails    []Mail
	replies  map[string]*smtp.SMTPError
	hang     bool
	closed   chan struct{}
	sessions int
	most     int
}

// Start runs a server that speaks plainly, and offers STARTTLS when config is not nil.
func Start(t testing.TB, config *tls.Config) *Server { return start(t, config, false) }

// StartImplicit runs a server that speaks TLS from the first byte.
func StartImplicit(t testing.TB, config *tls.Config) *Server { return start(t, config, true) }

func start(t testing.TB, config *tls.Config, implicit bool) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	s := &Server{Address: listener.Addr().String(), replies: make(map[string]*smtp.SMTPError), closed: make(chan struct{})}
	server := smtp.NewServer(s)
	server.Domain, server.AllowInsecureAuth = "localhost", true
	server.ErrorLog = discard{}
	if implicit {
		listener = tls.NewListener(listener, config)
	} else {
		server.TLSConfig = config
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends with the listener
	}()
	t.Cleanup(func() {
		close(s.closed)
		_ = server.Close() // sessions of clients that gave up may be gone already
		<-done
	})
	return s
}

// discard drops the server's complaints about clients that go away, which tests provoke.
type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

// Refuse makes the server answer a command ("AUTH", "MAIL", "RCPT", "DATA") with a code; 0: it takes the command again.
func (s *Server) Refuse(command string, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.replies, command)
	if code != 0 {
		s.replies[command] = &smtp.SMTPError{Code: code, EnhancedCode: smtp.NoEnhancedCode, Message: "not today"}
	}
}

// Hang makes the server say nothing more after MAIL.
func (s *Server) Hang() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hang = true
}

// Mails returns what the server took, in order.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Most is the greatest number of sessions at a time.
func (s *Server) Most() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// NewSession begins a session.
func (s *Server) NewSession(*smtp.Conn) (smtp.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions++
	s.most = max(s.most, s.sessions)
	return &session{server: s}, nil
}

func (s *Server) reply(command string) error {
	s.mu.Lock()
	reply, hang := s.replies[command], s.hang && command == "MAIL"
	s.mu.Unlock()
	if hang {
		<-s.closed
	}
	if reply == nil {
		return nil
	}
	return reply
}

type session struct {
	server *Server
	mail   Mail
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != Username || password != Password {
			return smtp.ErrAuthFailed
		}
		return s.server.reply("AUTH")
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.mail.From = from
	return s.server.reply("MAIL")
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.To = strings.TrimPrefix(s.mail.To+","+to, ",")
	return s.server.reply("RCPT")
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.server.reply("DATA"); err != nil {
		return err
	}
	s.mail.Raw = string(raw)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.mails = append(s.server.mails, s.mail)
	return nil
}

func (s *session) Reset() { s.mail = Mail{} }

func (s *session) Logout() error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.sessions--
	return nil
}
