package notice

import (
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
)

// EndsWithFunctions reports whether the end of a sign-in in the pool is told to a function, or shaped by one.
func EndsWithFunctions(p *pool.Pool) bool {
	return p.Lambda.Function(AfterSignIn) != "" || p.Lambda.Function(pool.PreTokenGeneration) != ""
}

type beforeSignInRequest struct {
	Attributes map[string]string `json:"userAttributes"`
	Validation map[string]string `json:"validationData"`
	Nobody     bool              `json:"userNotFound"`
}

// BeforeSignInEvent is the event for a PreAuthentication function; r is nil for a name that nobody has.
func BeforeSignInEvent(p *pool.Pool, r *user.Record, username string, validation map[string]string, caller Caller) *Event {
	request := beforeSignInRequest{Attributes: map[string]string{}, Validation: validation, Nobody: r == nil}
	if r != nil {
		username, request.Attributes = r.Username, Attributes(p, r)
	}
	return &Event{Version: "1", Region: p.Region, PoolID: p.ID, Username: username, Caller: caller, Source: SourceBeforeSignIn,
		Request: request, Response: struct{}{}}
}

type signedInRequest struct {
	Attributes map[string]string `json:"userAttributes"`
	NewDevice  bool              `json:"newDeviceUsed"`
	Metadata   map[string]string `json:"clientMetadata,omitempty"`
}

// SignedInEvent is the event for a PostAuthentication function.
func SignedInEvent(p *pool.Pool, r *user.Record, metadata map[string]string, caller Caller) *Event {
	return &Event{Version: "1", Region: p.Region, PoolID: p.ID, Username: r.Username, Caller: caller, Source: SourceSignedIn,
		Request: signedInRequest{Attributes: Attributes(p, r), NewDevice: p.Device != nil, Metadata: metadata}, Response: struct{}{}}
}

// Tokens are what a PreTokenGeneration function learns besides the user.
type Tokens struct {
	Version       string // of the event, as the pool configures it
	Source        string
	Groups, Roles []string
	Preferred     string
	Scopes        []string // from version 2 on
	Metadata      map[string]string
}

type groupConfiguration struct {
	Groups    []string `json:"groupsToOverride"`
	Roles     []string `json:"iamRolesToOverride"`
	Preferred *string  `json:"preferredRole"`
}

type tokensRequest struct {
	Attributes map[string]string  `json:"userAttributes"`
	Groups     groupConfiguration `json:"groupConfiguration"`
	Metadata   map[string]string  `json:"clientMetadata,omitempty"`
}

type tokensRequestV2 struct {
	tokensRequest
	Scopes []string `json:"scopes"`
}

type tokensResponse struct {
	Override *struct{} `json:"claimsOverrideDetails"`
}

type tokensResponseV2 struct {
	Override *struct{} `json:"claimsAndScopeOverrideDetails"`
}

// TokensEvent is the event for a PreTokenGeneration function, in the form that the pool configures.
func TokensEvent(p *pool.Pool, r *user.Record, t Tokens, caller Caller) *Event {
	request := tokensRequest{Attributes: Attributes(p, r), Metadata: t.Metadata,
		Groups: groupConfiguration{Groups: append([]string{}, t.Groups...), Roles: append([]string{}, t.Roles...)}}
	if t.Preferred != "" {
		request.Groups.Preferred = &t.Preferred
	}
	e := &Event{Version: "1", Region: p.Region, PoolID: p.ID, Username: r.Username, Caller: caller, Source: t.Source,
		Request: request, Response: tokensResponse{}}
	switch t.Version {
	case "V2_0":
		e.Version = "2"
	case "V3_0":
		e.Version = "3"
	default:
		return e
	}
	e.Request, e.Response = tokensRequestV2{request, append([]string{}, t.Scopes...)}, tokensResponseV2{}
	return e
}

// machineUsername stands for the user in events about tokens that belong to a client (documented).
const machineUsername = "ClientCredentials"

type machineRequest struct {
	Attributes struct{}          `json:"userAttributes"`
	Groups     *struct{}         `json:"groupConfiguration"`
	Metadata   map[string]string `json:"clientMetadata,omitempty"`
	Scopes     []string          `json:"scopes"`
}

// MachineTokensEvent is the event for a PreTokenGeneration function of version 3 about a token without a user.
func MachineTokensEvent(p *pool.Pool, scopes []string, metadata map[string]string, caller Caller) *Event {
	return &Event{Version: "3", Region: p.Region, PoolID: p.ID, Username: machineUsername, Caller: caller, Source: SourceTokensMachine,
		Request: machineRequest{Metadata: metadata, Scopes: append([]string{}, scopes...)}, Response: tokensResponseV2{}}
}
