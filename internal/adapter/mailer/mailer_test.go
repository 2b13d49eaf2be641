package mailer_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/poolhouse/poolhouse/internal/adapter/mailer"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/message"
	"github.com/poolhouse/poolhouse/internal/port/message/messagetest"
	"github.com/poolhouse/poolhouse/internal/testing/smtpd"
)

func sender(t *testing.T, o mailer.Options) *mailer.SMTP {
	t.Helper()
	if o.From == "" {
		o.From = "Pools <no-reply@pools.example>"
	}
	if o.TLS == "" {
		o.TLS = mailer.None
	}
	s, err := mailer.New(o)
	if err != nil {
		t.Fatalf("options %+v: %v", o, err)
	}
	return s
}

func TestContract(t *testing.T) {
	t.Parallel()
	messagetest.Run(t, func(t *testing.T) *messagetest.World {
		server := smtpd.Start(t, nil)
		refuse := func(name, command string, code int, kind message.Kind) messagetest.Behaviour {
			return messagetest.Behaviour{Name: name, Refuses: kind, Provoke: func() { server.Refuse(command, code) }}
		}
		return &messagetest.World{
			Sender: sender(t, mailer.Options{Address: server.Address, Username: smtpd.Username, Password: secret.New(smtpd.Password)}),
			Medium: notice.Email, To: "jane@example.com",
			Taken: func() (out []messagetest.Taken) {
				for _, m := range server.Mails() {
					out = append(out, messagetest.Taken{ID: m.Header("Message-ID"), To: m.To, Text: m.Raw})
				}
				return out
			},
			Bad: []messagetest.Behaviour{
				refuse("535 at AUTH", "AUTH", 535, message.EmailIdentity),
				refuse("530 at MAIL FROM", "MAIL", 530, message.EmailIdentity),
				refuse("550 at MAIL FROM", "MAIL", 550, message.EmailIdentity),
				refuse("550 at RCPT TO", "RCPT", 550, message.Recipient),
				refuse("553 at RCPT TO", "RCPT", 553, message.Recipient),
				refuse("454 at AUTH", "AUTH", 454, 0),
				refuse("451 at MAIL FROM", "MAIL", 451, 0),
				refuse("552 at MAIL FROM", "MAIL", 552, 0),
				refuse("450 at RCPT TO", "RCPT", 450, 0),
				refuse("552 at RCPT TO", "RCPT", 552, 0),
				refuse("451 at DATA", "DATA", 451, 0),
				refuse("550 at DATA", "DATA", 550, 0),
			},
			Hang: server.Hang,
		}
	})
}

func mailTo(to string) *message.Message {
	return &message.Message{ID: "0d9a6f2e-6d35-4a4b-9a87-1f6c3c1ce2aa", Medium: notice.Email, To: to, Subject: "Your verification code",
		Body: secret.New("<p>Your code is <b>914382</b>. "), Code: secret.New("914382")}
}

// parts are the texts of a mail by their content type.
func parts(t *testing.T, raw string) map[string]string {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatalf("read mail: %v\n%s", err, raw)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("content type %q (%v), want multipart/alternative", m.Header.Get("Content-Type"), err)
	}
	out := map[string]string{}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("read part: %v", err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatalf("decode part: %v", err)
		}
		out[part.Header.Get("Content-Type")] = strings.TrimSpace(string(text))
	}
}

func TestMail(t *testing.T) {
	t.Parallel()
	server := smtpd.Start(t, nil)
	m := mailTo("jane@example.com")
	m.From, m.ReplyTo, m.Subject = "Jäne's Pool <pool@example.org>", "help@example.org", "Dein Code für heute"
	if _, err := sender(t, mailer.Options{Address: server.Address}).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := server.Mails()[0]
	if got.From != "pool@example.org" || got.To != "jane@example.com" {
		t.Errorf("envelope from %q to %q", got.From, got.To)
	}
	want := map[string]string{"text/plain; charset=UTF-8": "Your code is 914382.", "text/html; charset=UTF-8": "<p>Your code is <b>914382</b>."}
	if diff := cmp.Diff(want, parts(t, got.Raw)); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
	decode := func(name string) string {
		text, err := new(mime.WordDecoder).DecodeHeader(got.Header(name))
		if err != nil {
			t.Errorf("header %s: %v", name, err)
		}
		return text
	}
	headers := map[string]string{"Subject": decode("Subject"), "From": decode("From"), "To": decode("To"), "Reply-To": decode("Reply-To"),
		"Message-ID": decode("Message-ID"), "Auto-Submitted": decode("Auto-Submitted")}
	if diff := cmp.Diff(map[string]string{"Subject": "Dein Code für heute", "From": "Jäne's Pool <pool@example.org>", "To": "<jane@example.com>",
		"Reply-To": "<help@example.org>", "Message-ID": "<0d9a6f2e-6d35-4a4b-9a87-1f6c3c1ce2aa@example.org>", "Auto-Submitted": "auto-generated"}, headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

// Whatever stands in an address, a name or a subject, the mail has the same header fields and one recipient.
func TestNoInjection(t *testing.T) {
	t.Parallel()
	fields := func(raw string) (names []string) {
		for r := bufio.NewScanner(strings.NewReader(raw)); r.Scan() && r.Text() != ""; {
			if name, _, found := strings.Cut(r.Text(), ":"); found && !strings.ContainsAny(name, " \t") {
				names = append(names, name)
			}
		}
		return names
	}
	server := smtpd.Start(t, nil)
	s := sender(t, mailer.Options{Address: server.Address})
	plain := mailTo("jane@example.com")
	plain.ReplyTo = "help@example.org"
	if _, err := s.Send(t.Context(), plain); err != nil {
		t.Fatal(err)
	}
	want := fields(server.Mails()[0].Raw)
	for _, evil := range []string{
		"x\r\nBcc: eve@example.com", "x\nBcc: eve@example.com", "x\rBcc: eve@example.com", "x\x00\r\n\r\nbody", "x\u2028Bcc: eve@example.com",
		"=?utf-8?q?x=0D=0ABcc:_eve@example.com?=", "=?utf-8?b?eA0KQmNjOiBldmVAZXhhbXBsZS5jb20=?=", "x\r\n.\r\nMAIL FROM:<eve@example.com>", `"x" <eve@example.com>, y`,
	} {
		for place, m := range map[string]*message.Message{
			"subject":         {Subject: evil, To: "jane@example.com", ReplyTo: "help@example.org"},
			"from":            {From: evil + " <pool@example.org>", To: "jane@example.com", ReplyTo: "help@example.org"},
			"from address":    {From: "pool@example.org" + evil, To: "jane@example.com", ReplyTo: "help@example.org"},
			"reply":           {ReplyTo: evil + " <pool@example.org>", To: "jane@example.com"},
			"address":         {To: "jane@example.com" + evil, ReplyTo: "help@example.org"},
			"start of it":     {To: evil + "@example.com", ReplyTo: "help@example.org"},
			"quoted address":  {To: `"` + evil + `"@example.com`, ReplyTo: "help@example.org"},
			"angled address":  {To: "jane@example.com>" + evil + "<bob@example.com", ReplyTo: "help@example.org"},
			"message id":      {ID: evil, To: "jane@example.com", ReplyTo: "help@example.org"},
			"body and cr dot": {Body: secret.New(evil + "\r\n.\r\nQUIT"), To: "jane@example.com", ReplyTo: "help@example.org"},
		} {
			before := len(server.Mails())
			m.Medium = notice.Email
			_, err := s.Send(t.Context(), m)
			mails := server.Mails()
			if len(mails) == before && err != nil {
				continue // refused
			}
			if len(mails) != before+1 {
				t.Fatalf("%q in %s: %d mails", evil, place, len(mails)-before)
			}
			got := mails[before]
			if diff := cmp.Diff(want, fields(got.Raw)); diff != "" {
				t.Errorf("%q in %s changes the header fields (-want +got):\n%s", evil, place, diff)
			}
			if strings.Contains(got.To, ",") || strings.Contains(got.To, "eve") && !strings.Contains(place, "address") && place != "start of it" {
				t.Errorf("%q in %s: recipients %q", evil, place, got.To)
			}
		}
	}
}

func TestProtection(t *testing.T) {
	t.Parallel()
	// The certificate of net/http's test server is good for 127.0.0.1.
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	config := &tls.Config{Certificates: web.TLS.Certificates}
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	plain, offers, implicit := smtpd.Start(t, nil), smtpd.Start(t, config), smtpd.StartImplicit(t, config)
	for _, test := range []struct {
		name   string
		server *smtpd.Server
		tls    mailer.Protection
		roots  *x509.CertPool
		user   string
		sent   bool
	}{
		{"starttls", offers, mailer.StartTLS, roots, smtpd.Username, true},
		{"starttls that is not offered", plain, mailer.StartTLS, roots, "", false},
		{"starttls with an unknown certificate", offers, mailer.StartTLS, nil, "", false},
		{"implicit", implicit, mailer.Implicit, roots, smtpd.Username, true},
		{"implicit with an unknown certificate", implicit, mailer.Implicit, nil, "", false},
		{"none", plain, mailer.None, nil, "", true},
	} {
		s := sender(t, mailer.Options{Address: test.server.Address, TLS: test.tls, Roots: test.roots, Username: test.user, Password: secret.New(smtpd.Password)})
		before := len(test.server.Mails())
		_, err := s.Send(t.Context(), mailTo("jane@example.com"))
		if _, refused := errors.AsType[*message.Refusal](err); (err == nil) != test.sent || refused || (len(test.server.Mails()) > before) != test.sent {
			t.Errorf("%s: error %v, %d mails; want sent %v", test.name, err, len(test.server.Mails())-before, test.sent)
		}
	}
}

// A server that accepts connections and never speaks.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s := sender(t, mailer.Options{Address: listener.Addr().String(), Limit: 100 * time.Millisecond})
	_, err = s.Send(t.Context(), mailTo("jane@example.com"))
	if _, refused := errors.AsType[*message.Refusal](err); err == nil || refused {
		t.Errorf("got %v, want an error that may pass", err)
	}
	// And with all connections taken, others give up in time too.
	hole := sender(t, mailer.Options{Address: listener.Addr().String()})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := hole.Send(ctx, mailTo("jane@example.com")); err == nil {
				t.Error("a silent server took a mail")
			}
		})
	}
	wg.Wait()
}

func TestConnections(t *testing.T) {
	t.Parallel()
	server := smtpd.Start(t, nil)
	s := sender(t, mailer.Options{Address: server.Address})
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if _, err := s.Send(t.Context(), mailTo("jane@example.com")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// A session may end at the server a moment after the client has said good-bye, so the server can see a few more.
	if most := server.Most(); most > 16 {
		t.Errorf("%d connections at a time, want about 8", most)
	}
}

func TestNothingThere(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = sender(t, mailer.Options{Address: address}).Send(t.Context(), mailTo("jane@example.com"))
	if _, refused := errors.AsType[*message.Refusal](err); err == nil || refused {
		t.Errorf("got %v, want an error that may pass", err)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	good := mailer.Options{Address: "mail.example.com:587", From: "no-reply@example.com", TLS: mailer.StartTLS}
	for name, spoil := range map[string]func(*mailer.Options){
		"no port":         func(o *mailer.Options) { o.Address = "mail.example.com" },
		"port is text":    func(o *mailer.Options) { o.Address = "mail.example.com:smtp" },
		"port is too big": func(o *mailer.Options) { o.Address = "mail.example.com:70000" },
		"no sender":       func(o *mailer.Options) { o.From = "" },
		"bad sender":      func(o *mailer.Options) { o.From = "nobody" },
		"bad protection":  func(o *mailer.Options) { o.TLS = "ssl" },
	} {
		o := good
		spoil(&o)
		if _, err := mailer.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := mailer.New(good); err != nil {
		t.Errorf("good options: %v", err)
	}
}
