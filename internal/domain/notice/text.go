package notice

import (
	"html"
	"net/url"
	"regexp"
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
	// Those of authentication are unconfirmed.
	DefaultAuthentication        = "Your authentication code is {####}. "
	DefaultAuthenticationSubject = "Your authentication code"
	// DefaultLink is unconfirmed; its subject is observed.
	DefaultLink        = "Please click the link below to verify your email address. {##Verify Email##} "
	DefaultLinkSubject = "Your verification link"
)

// Longest templates, in characters.
const (
	MaxSMS     = 140
	MaxEmail   = 20_000
	MaxSubject = 140
)

// Template is a message before its placeholders are filled. An SMS has no subject.
type Template struct{ Subject, Body string }

// TemplateOf is the pool's template for a message. The invitation has one of its own, and so has the e-mail of a sign-up
// in a pool that prefers links; every other source uses the verification template.
func TemplateOf(p *pool.Pool, source string, m Medium) Template {
	invite, t := &p.AdminCreate, &p.Templates
	switch {
	case IsAlert(source):
		return alertTemplate(source, m)
	case source == SourceAdminCreate && m == SMS:
		return Template{Body: or(invite.InviteSms, DefaultInvitation)}
	case source == SourceAdminCreate:
		return Template{Subject: or(invite.InviteSubject, DefaultInvitationSubject), Body: or(invite.InviteEmail, DefaultInvitation)}
	case source == SourceAuthentication && m == SMS:
		return Template{Body: or(p.SmsAuthentication, DefaultAuthentication)}
	case source == SourceAuthentication && p.EmailMFA != nil:
		return Template{Subject: or(p.EmailMFA.Subject, DefaultAuthenticationSubject), Body: or(p.EmailMFA.Message, DefaultAuthentication)}
	case source == SourceAuthentication:
		return Template{Subject: DefaultAuthenticationSubject, Body: DefaultAuthentication}
	case m == SMS:
		return Template{Body: or(t.Sms, DefaultVerification)}
	case ByLink(p, source, m):
		return Template{Subject: or(t.EmailSubjectByLink, DefaultLinkSubject), Body: or(t.EmailMessageByLink, DefaultLink)}
	}
	return Template{Subject: or(t.EmailSubject, DefaultVerificationSubject), Body: or(t.EmailMessage, DefaultVerification)}
}

func or(given *string, otherwise string) string {
	if given == nil || *given == "" {
		return otherwise
	}
	return *given
}

// ByLink reports whether a message carries a link in the place of a code: the e-mail of a sign-up can. Whatever else is
// verified needs a code, since there is no page that takes it.
func ByLink(p *pool.Pool, source string, m Medium) bool {
	return p.Templates.DefaultEmailOption == pool.ConfirmWithLink && m == Email && (source == SourceSignUp || source == SourceResend)
}

// Complete reports whether a body has the placeholders that its message needs: the code or the link, and for invitations
// the user name too. Of an incomplete template nothing is delivered. An alert carries no code.
func Complete(p *pool.Pool, source string, m Medium, body string) bool {
	switch {
	case IsAlert(source):
		return true
	case ByLink(p, source, m):
		return links.MatchString(body)
	}
	return strings.Contains(body, CodePlaceholder) && (source != SourceAdminCreate || strings.Contains(body, UsernamePlaceholder))
}

// links are the placeholders of links: what stands between the marks is the text of the link.
var links = regexp.MustCompile(`\{##([^#{}]+)##\}`)

// Link is the address of the page that confirms the sign-up of a message; base is the server's address as users reach it.
func Link(base string, m *Message) string {
	return base + "/confirmUser/?" + url.Values{"client_id": {m.ClientID}, "user_name": {m.Username}, "confirmation_code": {m.Code.Reveal()}}.Encode()
}

// Render fills the placeholders of a body: with the code and the user name, and where link is not "" with links to it.
// E-mails are HTML: there the user name and the code, which may be a temporary password, are escaped. Subjects have no
// placeholders and are sent as they are.
func Render(m Medium, body, code, username, link string) string {
	if link != "" {
		// The address is escaped so that none of its parts can be a placeholder.
		body = links.ReplaceAllStringFunc(body, func(placeholder string) string {
			return `<a href="` + html.EscapeString(link) + `">` + placeholder[len("{##"):len(placeholder)-len("##}")] + "</a>"
		})
	}
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
