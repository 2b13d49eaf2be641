package notice

import (
	"html"
	"strings"
	"unicode/utf8"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
)

// Placeholders in templates.
const (
	CodePlaceholder     = "{####}"
	UsernamePlaceholder = "{username}"
	LinkPlaceholder     = "{##Click Here##}"
)

// The texts of a pool that has no templates (observed; each ends with a space).
const (
	DefaultVerification        = "Your verification code is {####}. "
	DefaultVerificationSubject = "Your verification code"
	DefaultInvitation          = "Your username is {username} and temporary password is {####}. "
	DefaultInvitationSubject   = "Your temporary password"
)

// Longest templates, in characters.
const (
	MaxSMS     = 140
	MaxEmail   = 20_000
	MaxSubject = 140
)

// Template is a message before its placeholders are filled. An SMS has no subject.
type Template struct{ Subject, Body string }

// TemplateOf is the pool's template for a message. The invitation has one of its own; every other source uses the
// verification template. A pool that prefers verification by link gets the code form all the same: a link needs a
// domain of the pool, and the real service sends a code as well as long as there is none.
func TemplateOf(p *pool.Pool, source string, m Medium) Template {
	invite, t := &p.AdminCreate, &p.Templates
	switch {
	case IsAlert(source):
		return alertTemplate(source, m)
	case source == SourceAdminCreate && m == SMS:
		return Template{Body: or(invite.InviteSms, DefaultInvitation)}
	case source == SourceAdminCreate:
		return Template{Subject: or(invite.InviteSubject, DefaultInvitationSubject), Body: or(invite.InviteEmail, DefaultInvitation)}
	case m == SMS:
		return Template{Body: or(t.Sms, DefaultVerification)}
	}
	return Template{Subject: or(t.EmailSubject, DefaultVerificationSubject), Body: or(t.EmailMessage, DefaultVerification)}
}

func or(given *string, otherwise string) string {
	if given == nil || *given == "" {
		return otherwise
	}
	return *given
}

// Complete reports whether a body has the placeholders that its source needs: the code, and for invitations the
// user name too. Of an incomplete template nothing is delivered. An alert carries no code.
func Complete(source, body string) bool {
	if IsAlert(source) {
		return true
	}
	return strings.Contains(body, CodePlaceholder) && (source != SourceAdminCreate || strings.Contains(body, UsernamePlaceholder))
}

// Render fills the placeholders of a body. E-mails are HTML: there the user name and the code, which may be a
// temporary password, are escaped. Subjects have no placeholders and are sent as they are.
func Render(m Medium, body, code, username string) string {
	if m == Email {
		code, username = html.EscapeString(code), html.EscapeString(username)
	}
	// One pass, so that a user called "{####}" does not get the code twice.
	return strings.NewReplacer(CodePlaceholder, code, UsernamePlaceholder, username).Replace(body)
}

// Addressee is what {username} becomes: the sign-in address of users that were created by one, since their user
// name is generated; else the user name.
func Addressee(r *user.Record) string {
	if r.SignInAttribute != "" && r.Attributes[r.SignInAttribute] != "" {
		return r.Attributes[r.SignInAttribute]
	}
	return r.Username
}

// From is the sender of the pool's e-mails as the pool configures it, and the reply address; "" leaves it to the
// server. Without FROM address the identity counts that SourceArn names, if it is an address.
func From(p *pool.Pool) (from, replyTo string) {
	replyTo = or(p.Email.ReplyTo, "")
	if from = or(p.Email.From, ""); from == "" {
		if _, identity, found := strings.Cut(or(p.Email.SourceArn, ""), ":identity/"); found && strings.Contains(identity, "@") {
			from = identity
		}
	}
	return from, replyTo
}

// tooLong counts characters as the API's limits do.
func tooLong(s string, limit int) bool { return utf8.RuneCountInString(s) > limit }
