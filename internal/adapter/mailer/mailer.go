// Package mailer hands e-mail to an SMTP server.
//
// Each message gets a connection of its own, at most eight at a time, five seconds to connect and thirty in all. The
// replies 530 and 535, and 550 to MAIL FROM, say that we may not send, or not as this sender; 550, 551 and 553 to RCPT TO
// that the recipient takes nothing. These are final, everything else is tried again with the same Message-ID.
package mailer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/message"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// Protection is how the connection is protected.
type Protection string

// StartTLS demands STARTTLS, Implicit speaks TLS from the first byte, None sends in the clear (and keeps credentials to
// itself unless the server is on this machine).
const (
	StartTLS Protection = "starttls"
	Implicit Protection = "implicit"
	None     Protection = "none"
)

const (
	connectLimit   = 5 * time.Second
	sendLimit      = 30 * time.Second
	maxConnections = 8
)

// Options say where mail goes.
type Options struct {
	Address  string // host:port
	Username string // "": no authentication
	Password secret.Text
	From     string // sender of pools that name none, such as "Pools <no-reply@example.com>"
	TLS      Protection
	Roots    *x509.CertPool // that the server's certificate must come from; nil: the system's
	// Connect and Limit replace the five and thirty seconds; 0 leaves them.
	Connect, Limit time.Duration
}

// SMTP is a mail server. It is a message.Sender.
type SMTP struct {
	o     Options
	host  string
	port  int
	from  *mail.Address
	slots chan struct{}
}

// New checks the options; it connects to nothing.
func New(o Options) (*SMTP, error) {
	host, portText, err := net.SplitHostPort(o.Address)
	if err != nil {
		return nil, fmt.Errorf("mail server address: %w", err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil || port < 1 || port > 65535 {
		return nil, fmt.Errorf("mail server address: %q is no port", portText)
	}
	from, err := mail.ParseAddress(o.From)
	if err != nil {
		return nil, fmt.Errorf("mail sender %q: %w", o.From, err)
	}
	switch o.TLS {
	case StartTLS, Implicit, None:
	default:
		return nil, fmt.Errorf("mail server protection %q is none of starttls, implicit, none", o.TLS)
	}
	if o.Connect == 0 {
		o.Connect = connectLimit
	}
	if o.Limit == 0 {
		o.Limit = sendLimit
	}
	return &SMTP{o: o, host: host, port: port, from: from, slots: make(chan struct{}, maxConnections)}, nil
}

// Send delivers the message to the server.
func (s *SMTP) Send(ctx context.Context, m *message.Message) (message.Receipt, error) {
	if err := store.Outside(ctx); err != nil {
		return message.Receipt{}, err
	}
	msg, err := s.compose(m)
	if err != nil {
		return message.Receipt{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Limit)
	defer cancel()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return message.Receipt{}, fmt.Errorf("wait for a connection to the mail server: %w", ctx.Err())
	}
	if err := s.transmit(ctx, msg); err != nil && !msg.IsDelivered() {
		return message.Receipt{}, classify(err)
	}
	return message.Receipt{ID: msg.GetMessageID()}, nil
}

// compose makes the mail. Addresses are parsed and written anew, and control characters in the subject become spaces, so
// that no text can start another header line.
func (s *SMTP) compose(m *message.Message) (*gomail.Msg, error) {
	from := s.from
	if m.From != "" {
		own, err := mail.ParseAddress(m.From)
		if err != nil {
			return nil, &message.Refusal{Kind: message.EmailIdentity, Cause: errors.New("the pool's FROM address is none")}
		}
		from = own
	}
	to, err := mail.ParseAddress("<" + m.To + ">")
	if err != nil || to.Address != m.To || to.Name != "" {
		return nil, &message.Refusal{Kind: message.Recipient, Cause: errors.New("the address cannot be used in mail")}
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(from)
	msg.ToMailAddress(to)
	if m.ReplyTo != "" {
		reply, err := mail.ParseAddress(m.ReplyTo)
		if err != nil {
			return nil, &message.Refusal{Kind: message.EmailIdentity, Cause: errors.New("the pool's reply address is none")}
		}
		msg.ReplyToMailAddress(reply)
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	msg.SetMessageIDWithValue(oneLine(m.ID) + "@" + domain)
	msg.SetDate()
	msg.Subject(oneLine(m.Subject))
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(gomail.TypeTextPlain, notice.Plain(m.Body.Reveal()))
	msg.AddAlternativeString(gomail.TypeTextHTML, m.Body.Reveal())
	return msg, nil
}

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
}

// transmit connects, sends and says good-bye.
func (s *SMTP) transmit(ctx context.Context, msg *gomail.Msg) error {
	var release func() bool
	options := []gomail.Option{
		gomail.WithPort(s.port), gomail.WithTimeout(s.o.Limit), gomail.WithoutNoop(), gomail.WithTLSConfig(s.tls()),
		gomail.WithDialContextFunc(func(dialing context.Context, network, address string) (net.Conn, error) {
			conn, err := s.dial(dialing, network, address)
			if err == nil {
				// The library waits by deadlines of its own; this makes it notice a caller that gives up.
				release = context.AfterFunc(ctx, func() { _ = conn.Close() })
			}
			return conn, err
		}),
	}
	if s.o.TLS == StartTLS {
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	} else {
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if s.o.Username != "" {
		options = append(options, gomail.WithSMTPAuthCustom(&login{username: s.o.Username, password: s.o.Password, host: s.host}))
	}
	client, err := gomail.NewClient(s.host, options...)
	if err != nil {
		return fmt.Errorf("mail client: %w", err)
	}
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if release != nil {
		defer release()
	}
	if err != nil {
		return fmt.Errorf("connect to the mail server: %w", err)
	}
	sent := client.SendWithSMTPClient(conn, msg)
	if err := client.CloseWithSMTPClient(conn); err != nil && sent != nil {
		return errors.Join(sent, err)
	}
	return sent
}

func (s *SMTP) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Connect)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil || s.o.TLS != Implicit {
		return conn, err
	}
	protected := tls.Client(conn, s.tls())
	if err := protected.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return protected, nil
}

func (s *SMTP) tls() *tls.Config {
	return &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12, RootCAs: s.o.Roots}
}

// classify tells what the server refused for good from what may pass.
func classify(err error) error {
	code := 0
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		code = reply.Code
	}
	sent, isSend := errors.AsType[*gomail.SendError](err)
	if isSend && sent.ErrorCode() != 0 {
		code = sent.ErrorCode()
	}
	switch {
	case code == 530, code == 535, isSend && sent.Reason == gomail.ErrSMTPMailFrom && code == 550:
		return &message.Refusal{Kind: message.EmailIdentity, Cause: err}
	case isSend && sent.Reason == gomail.ErrSMTPRcptTo && slices.Contains([]int{550, 551, 553}, code):
		return &message.Refusal{Kind: message.Recipient, Cause: err}
	}
	return err
}

// login picks the best mechanism that the server offers and that keeps the password safe on this connection.
type login struct {
	username, host string
	password       secret.Text
	chosen         smtp.Auth
}

// Start begins the authentication.
func (l *login) Start(server *smtp.ServerInfo) (string, []byte, error) {
	offers := func(mechanism string) bool { return slices.Contains(server.Auth, mechanism) }
	switch password := l.password.Reveal(); {
	case offers("SCRAM-SHA-256"):
		l.chosen = smtp.ScramSHA256Auth(l.username, password)
	case offers("PLAIN"):
		l.chosen = smtp.PlainAuth("", l.username, password, l.host, false)
	case offers("LOGIN"):
		l.chosen = smtp.LoginAuth(l.username, password, l.host, false)
	default:
		return "", nil, errors.New("the mail server offers no known way to authenticate")
	}
	return l.chosen.Start(server)
}

// Next answers the server's challenges.
func (l *login) Next(challenge []byte, more bool) ([]byte, error) {
	return l.chosen.Next(challenge, more)
}
