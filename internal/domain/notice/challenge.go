package notice

import (
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
)

// This file holds the events and answers of the three functions that make up a custom sign-in.

// Asked is what all three functions learn of a sign-in.
type Asked struct {
	User     *user.Record      // nil: nobody has the name
	Username string            // as it was typed; of a user, the immutable one is told
	Metadata map[string]string // ClientMetadata
}

// Answered is a challenge of a custom sign-in that was answered.
type Answered struct {
	Name  string  `json:"challengeName"`
	Right bool    `json:"challengeResult"`
	Note  *string `json:"challengeMetadata"` // what the function has noted of its own challenge; null for others
}

type defineRequest struct {
	Attributes map[string]string `json:"userAttributes"`
	History    []Answered        `json:"session"`
	Metadata   map[string]string `json:"clientMetadata,omitempty"`
	Nobody     bool              `json:"userNotFound"`
}

type defineResponse struct {
	Name  *string `json:"challengeName"`
	Issue *bool   `json:"issueTokens"`
	Fail  *bool   `json:"failAuthentication"`
}

type createRequest struct {
	Attributes map[string]string `json:"userAttributes"`
	Name       string            `json:"challengeName"`
	History    []Answered        `json:"session"`
	Metadata   map[string]string `json:"clientMetadata,omitempty"`
	Nobody     bool              `json:"userNotFound"`
}

type createResponse struct {
	Public  map[string]string `json:"publicChallengeParameters"`
	Private map[string]string `json:"privateChallengeParameters"`
	Note    *string           `json:"challengeMetadata"`
}

type verifyRequest struct {
	Attributes map[string]string `json:"userAttributes"`
	Private    map[string]string `json:"privateChallengeParameters"`
	Answer     string            `json:"challengeAnswer"`
	Metadata   map[string]string `json:"clientMetadata,omitempty"`
	Nobody     bool              `json:"userNotFound"`
}

type verifyResponse struct {
	Right *bool `json:"answerCorrect"`
}

// DefineEvent is the event for a DefineAuthChallenge function.
func DefineEvent(p *pool.Pool, a Asked, history []Answered, caller Caller) *Event {
	username, attributes := a.known(p)
	return &Event{Version: "1", Region: p.Region, PoolID: p.ID, Username: username, Caller: caller, Source: SourceDefine,
		Request:  defineRequest{Attributes: attributes, History: append([]Answered{}, history...), Metadata: a.Metadata, Nobody: a.User == nil},
		Response: defineResponse{}}
}

// CreateEvent is the event for a CreateAuthChallenge function, which is asked for the challenge of the name.
func CreateEvent(p *pool.Pool, a Asked, name string, history []Answered, caller Caller) *Event {
	username, attributes := a.known(p)
	return &Event{Version: "1", Region: p.Region, PoolID: p.ID, Username: username, Caller: caller, Source: SourceCreate,
		Request:  createRequest{Attributes: attributes, Name: name, History: append([]Answered{}, history...), Metadata: a.Metadata, Nobody: a.User == nil},
		Response: createResponse{}}
}

// VerifyEvent is the event for a VerifyAuthChallengeResponse function: an answer, and what the function that made the challenge
// wants to be reminded of.
func VerifyEvent(p *pool.Pool, a Asked, private map[string]string, answer string, caller Caller) *Event {
	username, attributes := a.known(p)
	if private == nil {
		private = map[string]string{}
	}
	return &Event{Version: "1", Region: p.Region, PoolID: p.ID, Username: username, Caller: caller, Source: SourceVerify,
		Request:  verifyRequest{Attributes: attributes, Private: private, Answer: answer, Metadata: a.Metadata, Nobody: a.User == nil},
		Response: verifyResponse{}}
}

// known is what events tell of who signs in.
func (a Asked) known(p *pool.Pool) (username string, attributes map[string]string) {
	if a.User == nil {
		return a.Username, map[string]string{}
	}
	return a.User.Username, Attributes(p, a.User)
}

// Defined is the answer of a DefineAuthChallenge function.
type Defined struct {
	Name        string // "" when it names none
	Issue, Fail bool
}

// ParseDefined reads the response member of a DefineAuthChallenge function's answer. Absent and null members are false.
func ParseDefined(response []byte) (Defined, error) {
	var d Defined
	if err := unmarshalExact(response, map[string]any{"challengeName": &d.Name, "issueTokens": &d.Issue, "failAuthentication": &d.Fail}); err != nil {
		return Defined{}, err
	}
	return d, nil
}

// Created is the answer of a CreateAuthChallenge function. The client gets the public parameters, and nobody but the function that
// verifies the answer the private ones.
type Created struct {
	Public, Private map[string]string
	Note            *string
}

// ParseCreated reads the response member of a CreateAuthChallenge function's answer. Absent and null members are empty.
func ParseCreated(response []byte) (Created, error) {
	var c Created
	var public, private map[string]*string
	if err := unmarshalExact(response, map[string]any{
		"publicChallengeParameters": &public, "privateChallengeParameters": &private, "challengeMetadata": &c.Note,
	}); err != nil {
		return Created{}, err
	}
	var err error
	if c.Public, err = texts("publicChallengeParameters", public); err != nil {
		return Created{}, err
	}
	if c.Private, err = texts("privateChallengeParameters", private); err != nil {
		return Created{}, err
	}
	return c, nil
}

// texts are the values of an object, none of which may be null; nil for an empty one.
func texts(member string, object map[string]*string) (map[string]string, error) {
	var list map[string]string
	for name, value := range object {
		if value == nil {
			return nil, unrecognizable(member + " has a value that is no text")
		}
		if list == nil {
			list = make(map[string]string, len(object))
		}
		list[name] = *value
	}
	return list, nil
}

// ParseVerified reads the response member of a VerifyAuthChallengeResponse function's answer, which has to say yes or no.
func ParseVerified(response []byte) (right bool, err error) {
	var r verifyResponse
	if err := unmarshalExact(response, map[string]any{"answerCorrect": &r.Right}); err != nil {
		return false, err
	}
	if r.Right == nil {
		return false, unrecognizable("answerCorrect is missing")
	}
	return *r.Right, nil
}
