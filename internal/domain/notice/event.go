package notice

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

// ClientNotApplicable is the client id in events of operations that know no app client.
const ClientNotApplicable = "CLIENT_ID_NOT_APPLICABLE"

// Event is what a function gets. Its JSON has the members and their order as observed.
type Event struct {
	Version  string `json:"version"`
	Region   string `json:"region"`
	PoolID   string `json:"userPoolId"`
	Username string `json:"userName"`
	Caller   Caller `json:"callerContext"`
	Source   string `json:"triggerSource"`
	Request  any    `json:"request"`
	Response any    `json:"response"`
}

// Caller is an event's callerContext.
type Caller struct {
	SDK      string `json:"awsSdkVersion"`
	ClientID string `json:"clientId"`
}

// CallerOf makes a callerContext from a request's user agent and client id, either of which may be "".
func CallerOf(userAgent, clientID string) Caller {
	c := Caller{SDK: "aws-sdk-unknown-unknown", ClientID: clientID}
	if clientID == "" {
		c.ClientID = ClientNotApplicable
	}
	if product, _, _ := strings.Cut(userAgent, " "); strings.HasPrefix(product, "aws-sdk-") {
		c.SDK = strings.ReplaceAll(product, "/", "-")
	}
	return c
}

// JSON is the event as it travels.
func (e *Event) JSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.Source, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Attributes are a user's attributes as functions see them: with the sub, the status, and a mark for each active
// alias.
func Attributes(p *pool.Pool, r *user.Record) map[string]string {
	out := make(map[string]string, len(r.Attributes)+4)
	maps.Copy(out, r.Attributes)
	out[pool.Sub] = r.Sub
	out["cognito:user_status"] = string(r.Status)
	if text := r.IdentitiesText(); text != "" {
		out[pool.Identities] = text
	}
	for _, alias := range [...]struct{ address, flag, mark string }{
		{pool.Email, pool.EmailVerified, "cognito:email_alias"},
		{pool.PhoneNumber, pool.PhoneNumberVerified, "cognito:phone_number_alias"},
	} {
		if v := r.Attributes[alias.address]; v != "" && p.Alias(alias.address) && r.Attributes[alias.flag] == "true" {
			out[alias.mark] = v
		}
	}
	return out
}

type customMessageRequest struct {
	Attributes map[string]string `json:"userAttributes"`
	Code       string            `json:"codeParameter"`
	Link       string            `json:"linkParameter"`
	Username   *string           `json:"usernameParameter"`
	Metadata   map[string]string `json:"clientMetadata,omitempty"`
}

type customMessageResponse struct {
	SMS     *string `json:"smsMessage"`
	Body    *string `json:"emailMessage"`
	Subject *string `json:"emailSubject"`
}

// CustomMessageEvent is the event for a CustomMessage function that composes the message. It holds the code's
// placeholder, never the code.
func CustomMessageEvent(p *pool.Pool, r *user.Record, m *Message, caller Caller) *Event {
	request := customMessageRequest{Attributes: Attributes(p, r), Code: CodePlaceholder, Link: LinkPlaceholder, Metadata: m.Metadata}
	if m.Source == SourceAdminCreate {
		placeholder := UsernamePlaceholder
		request.Username = &placeholder
	}
	return &Event{Version: "1", Region: p.Region, PoolID: p.ID, Username: r.Username, Caller: caller, Source: m.Source,
		Request: request, Response: customMessageResponse{}}
}

// SignUp is a user that is about to be created.
type SignUp struct {
	Source     string // such as SourcePreSignUpByAdmin
	Username   string // as it will be stored
	Attributes map[string]string
	Validation map[string]string // ValidationData; nil when the request has none
	Metadata   map[string]string // ClientMetadata
}

type preSignUpRequest struct {
	Attributes map[string]string `json:"userAttributes"`
	Validation map[string]string `json:"validationData"`
	Metadata   map[string]string `json:"clientMetadata,omitempty"`
}

type preSignUpResponse struct {
	Confirm     bool `json:"autoConfirmUser"`
	VerifyEmail bool `json:"autoVerifyEmail"`
	VerifyPhone bool `json:"autoVerifyPhone"`
}

// PreSignUpEvent is the event for a PreSignUp function. The user has no sub and no status yet.
func PreSignUpEvent(p *pool.Pool, s SignUp, caller Caller) *Event {
	attributes := s.Attributes
	if attributes == nil {
		attributes = map[string]string{}
	}
	return &Event{Version: "1", Region: p.Region, PoolID: p.ID, Username: s.Username, Caller: caller, Source: s.Source,
		Request:  preSignUpRequest{Attributes: attributes, Validation: s.Validation, Metadata: s.Metadata},
		Response: preSignUpResponse{}}
}

type postConfirmationRequest struct {
	Attributes map[string]string `json:"userAttributes"`
	Metadata   map[string]string `json:"clientMetadata,omitempty"`
}

// PostConfirmationEvent is the event for a PostConfirmation function, of a user who was confirmed, or who has set a new
// password by a code.
func PostConfirmationEvent(p *pool.Pool, r *user.Record, source string, metadata map[string]string, caller Caller) *Event {
	return &Event{Version: "1", Region: p.Region, PoolID: p.ID, Username: r.Username, Caller: caller, Source: source,
		Request: postConfirmationRequest{Attributes: Attributes(p, r), Metadata: metadata}, Response: struct{}{}}
}

type migrationRequest struct {
	Password   *string           `json:"password,omitempty"`
	Validation map[string]string `json:"validationData"`
	Metadata   map[string]string `json:"clientMetadata,omitempty"`
	Attributes map[string]string `json:"userAttributes"`
}

type migrationResponse struct {
	Attributes map[string]string `json:"userAttributes"`
	Force      *bool             `json:"forceAliasCreation"`
	SMS        *bool             `json:"enableSMSMFA"`
	Status     *string           `json:"finalUserStatus"`
	Action     *string           `json:"messageAction"`
	Media      []string          `json:"desiredDeliveryMediums"`
}

// MigrationEvent is the event for a UserMigration function that is asked about a name which nobody has, as it was typed,
// by somebody who has forgotten the password.
func MigrationEvent(p *pool.Pool, username string, metadata map[string]string, caller Caller) *Event {
	return &Event{Version: "1", Region: p.Region, PoolID: p.ID, Username: username, Caller: caller, Source: SourceMigrateForgotten,
		Request: migrationRequest{Metadata: metadata}, Response: migrationResponse{}}
}

// MigrationAtSignInEvent is the event for a UserMigration function that is asked about a name which nobody has, as it was typed, by
// somebody who signs in with a password.
func MigrationAtSignInEvent(p *pool.Pool, username string, password secret.Text, validation map[string]string, caller Caller) *Event {
	text := password.Reveal()
	return &Event{Version: "1", Region: p.Region, PoolID: p.ID, Username: username, Caller: caller, Source: SourceMigrateSignIn,
		Request: migrationRequest{Password: &text, Validation: validation}, Response: migrationResponse{}}
}
