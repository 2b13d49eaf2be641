package bench

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/poolhouse/poolhouse/internal/app/caller"
)

// Credentials sign requests; see caller.Credentials for the meaning of an empty secret.
type Credentials = caller.Credentials

// userName is the name of the n-th user that the tool makes.
func userName(n uint64) string { return fmt.Sprintf("bench-%06d", n) }

// steady are the attributes of every user that do not change; with email and nickname they are all it has.
var steady = [...]struct{ name, value string }{{"name", "Jane Maria Doe"}, {"given_name", "Jane"}, {"family_name", "Doe"}, {"locale", "en-GB"},
	{"zoneinfo", "Europe/London"}, {"website", "https://www.example.com/people/jane"}}

// User is the n-th user that the tool makes.
func User(n int) (name string, attributes map[string]string) {
	name = userName(uint64(n))
	attributes = map[string]string{"email": name + "@example.com", "email_verified": "true", "nickname": "jane"}
	for _, a := range steady {
		attributes[a.name] = a.value
	}
	return name, attributes
}

// appendSteady adds the steady attributes as the API takes them, each with a comma behind it.
func appendSteady(to []byte) []byte {
	for _, a := range steady {
		to = append(append(append(append(append(to, `{"Name":"`...), a.name...), `","Value":"`...), a.value...), `"},`...)
	}
	return to
}

// A subject is what requests are about.
type subject struct {
	pool   string
	client string   // for sign-up
	run    string   // a word of this load alone, so that what it makes has names of its own
	tokens []string // access tokens of some users
	renews []string // refresh tokens of the same users
	codes  []string // for the owner of each token: verifies the address
}

// An operation is a request that can be measured.
type operation struct {
	// body is that of the n-th request, about user u of the pool.
	body func(to []byte, s *subject, u, n uint64) []byte
	// makes says that each request makes a user: a load must not be one for warming up, nor tell how costs grow with the
	// number of users.
	makes bool
	// call is the operation of the API, "" when it has the name of the row.
	call string
	// bare is the cryptography without which the server cannot answer, nil where it takes little of the time.
	bare *bare
	// follow makes from the reply to a request the body of a second one, which completes what was begun. The two count as one.
	follow func(s *subject, reply []byte) ([]byte, error)
	// client says that the caller is anybody who knows an app client.
	client bool
	// token says that the caller is a user, whose tokens have to be made first.
	token bool
	// once says that each request uses up a code, which is made before each round.
	once bool
	// durable says that the answer waits for the disk. One connection can make no more of them than the disk allows.
	durable bool
}

// repeats reports whether the same requests can be sent again and again to the same users.
func (o *operation) repeats() bool { return !o.makes && !o.once && o.follow == nil }

// grows reports whether costs may grow with the number of users, so far as they can be seen beside the cryptography.
func (o *operation) grows() bool { return o.repeats() && o.bare == nil }

// owner is one of the users with tokens.
func (s *subject) owner(u uint64) uint64 { return u % uint64(len(s.tokens)) }

// operations are all that can be measured.
var operations = map[string]*operation{
	// Seven attributes, of which one changes.
	"AdminUpdateUserAttributes": {durable: true, body: func(to []byte, s *subject, u, n uint64) []byte {
		to = appendAttributes(append(aboutUser(to, s.pool, u), ','), n)
		return append(to, '}')
	}},
	"AdminGetUser": {body: func(to []byte, s *subject, u, _ uint64) []byte { return append(aboutUser(to, s.pool, u), '}') }},
	"AdminCreateUser": {durable: true, makes: true, bare: aVerifier, body: func(to []byte, s *subject, _, n uint64) []byte {
		to = appendMember(append(to, '{'), "UserPoolId", s.pool)
		to = s.appendName(append(to, `,"Username":"`...), n)
		return append(to, `","TemporaryPassword":"Temporary-1","MessageAction":"SUPPRESS"}`...)
	}},
	"ListUsers": {body: func(to []byte, s *subject, u, _ uint64) []byte {
		to = appendMember(append(to, '{'), "UserPoolId", s.pool)
		to = append(to, `,"Filter":"email = \"`...)
		to = append(to, userName(u)...)
		return append(to, `@example.com\""}`...)
	}},
	"DescribeUserPool": {body: func(to []byte, s *subject, _, _ uint64) []byte {
		return append(appendMember(append(to, '{'), "UserPoolId", s.pool), '}')
	}},
	// With an address, to which a code goes.
	"SignUp": {durable: true, client: true, makes: true, bare: aVerifier, body: func(to []byte, s *subject, _, n uint64) []byte {
		to = appendMember(append(to, '{'), "ClientId", s.client)
		to = s.appendName(append(to, `,"Username":"`...), n)
		to = s.appendName(append(to, `","Password":"Permanent-1","UserAttributes":[{"Name":"email","Value":"`...), n)
		return append(to, `@example.com"}]}`...)
	}},
	// As the administrator's, by the user.
	"UpdateUserAttributes": {durable: true, token: true, body: func(to []byte, s *subject, u, n uint64) []byte {
		to = appendMember(append(to, '{'), "AccessToken", s.tokens[s.owner(u)])
		return append(appendAttributes(append(to, ','), n), '}')
	}},
	"VerifyUserAttribute": {durable: true, token: true, once: true, body: func(to []byte, s *subject, _, n uint64) []byte {
		i := n % uint64(len(s.tokens))
		to = appendMember(append(to, '{'), "AccessToken", s.tokens[i])
		return append(appendMember(append(to, `,"AttributeName":"email",`...), "Code", s.codes[i]), '}')
	}},
	"GetUser": {token: true, body: func(to []byte, s *subject, u, _ uint64) []byte {
		return append(appendMember(append(to, '{'), "AccessToken", s.tokens[s.owner(u)]), '}')
	}},
	"InitiateAuth/refresh": {call: "InitiateAuth", token: true, bare: twoSignatures, body: func(to []byte, s *subject, u, _ uint64) []byte {
		to = appendMember(append(s.appendFlow(to, "REFRESH_TOKEN_AUTH"), '{'), "REFRESH_TOKEN", s.renews[s.owner(u)])
		return append(to, `}}`...)
	}},
	"InitiateAuth/password": {call: "InitiateAuth", durable: true, token: true, bare: verifierAndSignatures, body: func(to []byte, s *subject, u, _ uint64) []byte {
		to = appendMember(append(s.appendFlow(to, "USER_PASSWORD_AUTH"), '{'), "USERNAME", userName(s.owner(u)))
		return append(appendMember(append(to, ','), "PASSWORD", password), `}}`...)
	}},
	// InitiateAuth and RespondToAuthChallenge.
	"InitiateAuth/SRP": {call: "InitiateAuth", durable: true, token: true, bare: exchangeAndSignatures, follow: answerChallenge, body: func(to []byte, s *subject, u, _ uint64) []byte {
		to = appendMember(append(s.appendFlow(to, "USER_SRP_AUTH"), '{'), "USERNAME", userName(s.owner(u)))
		return append(appendMember(append(to, ','), "SRP_A", prover().Public), `}}`...)
	}},
}

// appendMember adds a member whose value needs no escapes.
func appendMember(to []byte, name, value string) []byte {
	to = append(append(append(to, '"'), name...), `":"`...)
	return append(append(to, value...), '"')
}

// appendFlow begins the body of a sign-in by a flow.
func (s *subject) appendFlow(to []byte, flow string) []byte {
	to = appendMember(append(to, '{'), "ClientId", s.client)
	return append(appendMember(append(to, ','), "AuthFlow", flow), `,"AuthParameters":`...)
}

// group is what SRP calls the pool.
func (s *subject) group() string {
	_, group, _ := strings.Cut(s.pool, "_")
	return group
}

// appendName adds the name of the n-th user that a load makes.
func (s *subject) appendName(to []byte, n uint64) []byte {
	to = append(append(append(to, "made-"...), s.run...), '-')
	return strconv.AppendUint(to, n, 10)
}

// appendAttributes adds seven attributes, of which one changes with n.
func appendAttributes(to []byte, n uint64) []byte {
	to = appendSteady(append(to, `"UserAttributes":[`...))
	to = append(to, `{"Name":"nickname","Value":"jane`...)
	return append(strconv.AppendUint(to, n, 10), `"}]`...)
}

// Operations names what can be measured.
func Operations() []string { return slices.Sorted(maps.Keys(operations)) }

func aboutUser(to []byte, pool string, u uint64) []byte {
	to = append(to, `{"UserPoolId":"`...)
	to = append(to, pool...)
	to = append(to, `","Username":"`...)
	to = append(to, userName(u)...)
	return append(to, '"')
}

// makeUser is the AdminCreateUser that fills the pool.
func makeUser(to []byte, pool string, u uint64) []byte {
	to = aboutUser(to, pool, u)
	to = append(to, `,"TemporaryPassword":"Temporary-1","MessageAction":"SUPPRESS","UserAttributes":[`...)
	to = append(appendSteady(to), `{"Name":"email","Value":"`...)
	to = append(to, userName(u)...)
	return append(to, `@example.com"},{"Name":"email_verified","Value":"true"},{"Name":"nickname","Value":"jane"}]}`...)
}
