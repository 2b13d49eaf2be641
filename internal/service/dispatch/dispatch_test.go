package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func str(s string) *string { return &s }

// TestConstrain holds the grammar of constraint messages, with the messages that were observed.
func TestConstrain(t *testing.T) {
	t.Parallel()
	ok := api.AdminUpdateUserAttributesInput{UserPoolId: "us-east-1_Abc", Username: "u", UserAttributes: []api.AttributeType{}}
	long := strings.Repeat("x", 33)
	for name, c := range map[string]struct {
		spec    *api.Spec
		in      any
		missing dispatch.Missing
		want    string
	}{
		"nothing wrong":        {api.AdminUpdateUserAttributes.Spec, &ok, nil, ""},
		"missing list":         {api.AdminUpdateUserAttributes.Spec, &api.AdminUpdateUserAttributesInput{UserPoolId: "us-east-1_Abc", Username: "u"}, nil, "1 validation error detected: Value null at 'userAttributes' failed to satisfy constraint: Member must not be null"},
		"empty scalar present": {api.AdminUpdateUserAttributes.Spec, &api.AdminUpdateUserAttributesInput{UserPoolId: "us-east-1_Abc", Username: "", UserAttributes: []api.AttributeType{}}, nil, `2 validation errors detected: Value at 'username' failed to satisfy constraint: Member must satisfy regular expression pattern: [\p{L}\p{M}\p{S}\p{N}\p{P}]+; Value at 'username' failed to satisfy constraint: Member must have length greater than or equal to 1`},
		"empty scalar absent":  {api.AdminUpdateUserAttributes.Spec, &api.AdminUpdateUserAttributesInput{UserPoolId: "us-east-1_Abc", Username: "", UserAttributes: []api.AttributeType{}}, dispatch.Missing{"username": {}}, `1 validation error detected: Value null at 'username' failed to satisfy constraint: Member must not be null`},
		"several rules of one member, in order": {api.AdminUpdateUserAttributes.Spec, &api.AdminUpdateUserAttributesInput{UserPoolId: "us-east-1_Abc", Username: "u", UserAttributes: []api.AttributeType{{Name: "ok"}, {Name: "\x01" + long}}}, nil,
			"2 validation errors detected: Value '\x01" + long + `' at 'userAttributes.2.member.name' failed to satisfy constraint: Member must satisfy regular expression pattern: [\p{L}\p{M}\p{S}\p{N}\p{P}\t\n\r ]+; Value '` + "\x01" + long + "' at 'userAttributes.2.member.name' failed to satisfy constraint: Member must have length less than or equal to 32"},
		"sensitive value":         {api.AdminUpdateUserAttributes.Spec, &api.AdminUpdateUserAttributesInput{UserPoolId: "us-east-1_Abc", Username: "u", UserAttributes: []api.AttributeType{{Name: "n", Value: str(strings.Repeat("v", 2049))}}}, nil, "1 validation error detected: Value at 'userAttributes.1.member.value' failed to satisfy constraint: Member must have length less than or equal to 2048"},
		"UTF-16 length":           {api.AdminUpdateUserAttributes.Spec, &api.AdminUpdateUserAttributesInput{UserPoolId: "us-east-1_Abc", Username: strings.Repeat("😀", 65), UserAttributes: []api.AttributeType{}}, nil, "1 validation error detected: Value at 'username' failed to satisfy constraint: Member must have length less than or equal to 128"},
		"pattern of an id":        {api.DescribeUserPool.Spec, &api.DescribeUserPoolInput{UserPoolId: "abc"}, nil, `1 validation error detected: Value 'abc' at 'userPoolId' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w-]+_[0-9a-zA-Z]+`},
		"number above":            {api.ListUsers.Spec, &api.ListUsersInput{UserPoolId: "us-east-1_Abc", Limit: ptr(100)}, nil, "1 validation error detected: Value '100' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 60"},
		"number below":            {api.ListUserPools.Spec, &api.ListUserPoolsInput{MaxResults: 0}, nil, "1 validation error detected: Value '0' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		"enum in a list":          {api.CreateUserPool.Spec, &api.CreateUserPoolInput{PoolName: "p", AutoVerifiedAttributes: []string{"foo"}}, nil, "1 validation error detected: Value '[foo]' at 'autoVerifiedAttributes' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [phone_number, email]]"},
		"enum":                    {api.CreateUserPool.Spec, &api.CreateUserPoolInput{PoolName: "p", MfaConfiguration: str("MAYBE")}, nil, "1 validation error detected: Value 'MAYBE' at 'mfaConfiguration' failed to satisfy constraint: Member must satisfy enum value set: [OFF, ON, OPTIONAL]"},
		"enum in the order seen":  {api.CreateUserPoolClient.Spec, &api.CreateUserPoolClientInput{UserPoolId: "us-east-1_Abc", ClientName: "c", AllowedOAuthFlows: []string{"code", "token"}}, nil, "1 validation error detected: Value '[code, token]' at 'allowedOAuthFlows' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [implicit, client_credentials, code]]"},
		"name in the schema":      {api.CreateUserPool.Spec, &api.CreateUserPoolInput{PoolName: "p", Schema: []api.SchemaAttributeType{{Name: str(strings.Repeat("n", 21))}}}, nil, "1 validation error detected: Value '" + strings.Repeat("n", 21) + "' at 'schema.1.member.name' failed to satisfy constraint: Member must have length less than or equal to 20"},
		"length of a list":        {api.CreateUserPool.Spec, &api.CreateUserPoolInput{PoolName: "p", Schema: make([]api.SchemaAttributeType, 51)}, nil, "1 validation error detected: Value at 'schema' failed to satisfy constraint: Member must have length less than or equal to 50"},
		"password":                {api.AdminSetUserPassword.Spec, &api.AdminSetUserPasswordInput{UserPoolId: "us-east-1_Abc", Username: "u", Password: secret.New("x")}, nil, `1 validation error detected: Value at 'password' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[\S]+.*[\S]+$`},
		"nested structure":        {api.CreateUserPool.Spec, &api.CreateUserPoolInput{PoolName: "p", Policies: &api.UserPoolPolicyType{PasswordPolicy: &api.PasswordPolicyType{MinimumLength: ptr(5)}}}, nil, "1 validation error detected: Value '5' at 'policies.passwordPolicy.minimumLength' failed to satisfy constraint: Member must have value greater than or equal to 6"},
		"required in a structure": {api.CreateUserPool.Spec, &api.CreateUserPoolInput{PoolName: "p", SmsConfiguration: &api.SmsConfigurationType{}}, dispatch.Missing{"smsConfiguration.snsCallerArn": {}}, "1 validation error detected: Value null at 'smsConfiguration.snsCallerArn' failed to satisfy constraint: Member must not be null"},
		"values of a map":         {api.TagResource.Spec, &api.TagResourceInput{ResourceArn: "arn:aws:cognito-idp:us-east-1:1:userpool/x", Tags: map[string]string{"a": strings.Repeat("t", 257)}}, nil, "1 validation error detected: Value '{a=" + strings.Repeat("t", 257) + "}' at 'tags' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 256, Member must have length greater than or equal to 0]"},
		"keys of a map":           {api.TagResource.Spec, &api.TagResourceInput{ResourceArn: "arn:aws:cognito-idp:us-east-1:1:userpool/x", Tags: map[string]string{"": "v"}}, nil, "1 validation error detected: Value '{=v}' at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]"},
		"order of members":        {api.AdminUpdateUserAttributes.Spec, &api.AdminUpdateUserAttributesInput{}, dispatch.Missing{"username": {}, "userPoolId": {}}, "3 validation errors detected: Value null at 'userPoolId' failed to satisfy constraint: Member must not be null; Value null at 'username' failed to satisfy constraint: Member must not be null; Value null at 'userAttributes' failed to satisfy constraint: Member must not be null"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := dispatch.Constrain(c.spec.In, c.in, c.missing)
			if c.want == "" {
				want.NoError(t, err)
				return
			}
			f, ok := errors.AsType[*fault.Error](err)
			if !ok {
				t.Fatalf("no fault: %v", err)
			}
			want.Equal(t, f.Message, c.want)
			want.Equal(t, f.Code, fault.InvalidParameterException)
			want.Equal(t, len(f.Details), strings.Count(c.want, "failed to satisfy constraint"))
		})
	}
}

func ptr[T any](v T) *T { return &v }

// caller is an Inbound that tells in which order it is asked.
type caller struct {
	asked     []string
	principal dispatch.Principal
	refuse    error
	fill      func(into any) (dispatch.Missing, error)
}

func (c *caller) Authenticate(context.Context, *api.Spec) (dispatch.Principal, error) {
	c.asked = append(c.asked, "authenticate")
	return c.principal, c.refuse
}

func (c *caller) Decode(_ *api.Spec, into any) (dispatch.Missing, error) {
	c.asked = append(c.asked, "decode")
	return c.fill(into)
}

// settings is a store that holds one pool and counts how often it is read.
type settings struct {
	store.Store
	pool  *pool.Pool
	reads int
	// searches counts how often a client was looked for without its pool.
	searches int
}

func (s *settings) View(_ context.Context, fn func(store.View) error) error {
	return fn(view{s: s})
}

type view struct {
	store.View
	s *settings
}

func (v view) Pools() store.PoolReader     { return pools{s: v.s} }
func (v view) Clients() store.ClientReader { return clients{s: v.s} }

type pools struct {
	store.PoolReader
	s *settings
}

func (p pools) Get(id string) (*pool.Pool, error) {
	p.s.reads++
	if p.s.pool == nil || id != p.s.pool.ID {
		return nil, store.ErrNotFound
	}
	return p.s.pool, nil
}

type clients struct {
	store.ClientReader
	s *settings
}

func (c clients) Get(poolID, id string) (*pool.Client, error) {
	if id != "known" || c.s.pool == nil || poolID != c.s.pool.ID {
		return nil, store.ErrNotFound
	}
	return &pool.Client{ID: id, PoolID: poolID}, nil
}

// ByID knows the client as long as its pool is there.
func (c clients) ByID(id string) (*pool.Client, error) {
	c.s.searches++
	if id != "known" || c.s.pool == nil {
		return nil, store.ErrNotFound
	}
	return &pool.Client{ID: id, PoolID: c.s.pool.ID}, nil
}

// house is a pipeline with one operation of each kind.
type house struct {
	*dispatch.Pipeline
	settings *settings
	run      func(c *dispatch.Call) error
	ran      int
}

func newHouse(t *testing.T) *house {
	h := &house{settings: &settings{pool: &pool.Pool{ID: "us-east-1_Abc", Region: "us-east-1", Account: "123456789012"}}}
	reg := dispatch.NewRegistry()
	handle := func(c *dispatch.Call) error {
		h.ran++
		if h.run == nil {
			return nil
		}
		return h.run(c)
	}
	dispatch.Handle(reg, api.AdminGetUser, func(_ context.Context, c *dispatch.Call, _ *api.AdminGetUserInput) (*api.AdminGetUserOutput, error) {
		return &api.AdminGetUserOutput{Username: "u"}, handle(c)
	})
	dispatch.Handle(reg, api.AdminDeleteUser, func(_ context.Context, c *dispatch.Call, _ *api.AdminDeleteUserInput) (*struct{}, error) {
		return nil, handle(c)
	})
	dispatch.Handle(reg, api.DescribeUserPoolClient, func(_ context.Context, c *dispatch.Call, _ *api.DescribeUserPoolClientInput) (*api.DescribeUserPoolClientOutput, error) {
		return &api.DescribeUserPoolClientOutput{}, handle(c)
	})
	dispatch.Handle(reg, api.ListTagsForResource, func(_ context.Context, c *dispatch.Call, _ *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
		return &api.ListTagsForResourceOutput{}, handle(c)
	})
	dispatch.Handle(reg, api.SignUp, func(_ context.Context, c *dispatch.Call, _ *api.SignUpInput) (*api.SignUpOutput, error) {
		return &api.SignUpOutput{}, handle(c)
	})
	fake := clock.NewFake(time.Unix(1_700_000_000, 0))
	h.Pipeline = &dispatch.Pipeline{Registry: reg, Store: h.settings, Clock: fake, Account: "123456789012",
		Settings: &dispatch.Settings{Store: h.settings, Clock: fake}, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	return h
}

// ask sends a request about a user of a pool.
func (h *house) ask(operation, poolID string, in *caller) dispatch.Reply {
	if in.fill == nil {
		in.fill = func(into any) (dispatch.Missing, error) {
			switch in := into.(type) {
			case *api.AdminGetUserInput:
				in.UserPoolId, in.Username = poolID, "u"
			case *api.AdminDeleteUserInput:
				in.UserPoolId, in.Username = poolID, "u"
			case *api.DescribeUserPoolClientInput:
				in.UserPoolId, in.ClientId = poolID, "known"
			case *api.ListTagsForResourceInput:
				in.ResourceArn = poolID
			case *api.SignUpInput:
				in.ClientId, in.Username = poolID, "u"
			}
			return nil, nil
		}
	}
	return h.Serve(context.Background(), &dispatch.Request{ID: "r1", Operation: operation, Region: "us-east-1", Inbound: in})
}

func says(t *testing.T, r dispatch.Reply, code fault.Code, text string) {
	t.Helper()
	if r.Err == nil {
		t.Fatalf("answered %v, want %s", r.Out, code)
	}
	want.Equal(t, fmt.Sprintf("%s: %s", r.Err.Code, r.Err.Message), fmt.Sprintf("%s: %s", code, text))
}

func TestServe(t *testing.T) {
	t.Parallel()
	const known = "us-east-1_Abc"
	t.Run("answers", func(t *testing.T) {
		t.Parallel()
		h, in := newHouse(t), &caller{principal: dispatch.Principal{KeyID: "K"}}
		r := h.ask("AdminGetUser", known, in)
		want.Equal(t, in.asked, []string{"authenticate", "decode"})
		want.Equal(t, r.Out.(*api.AdminGetUserOutput).Username, "u")
		want.Equal(t, []any{r.PoolID, r.Caller, r.Err == nil}, []any{known, "K", true})
	})
	t.Run("without an output shape", func(t *testing.T) {
		t.Parallel()
		r := newHouse(t).ask("AdminDeleteUser", known, &caller{})
		want.True(t, r.Out == nil && r.Err == nil, "%v %v", r.Out, r.Err)
	})
	t.Run("unknown operation", func(t *testing.T) {
		t.Parallel()
		in := &caller{}
		says(t, newHouse(t).ask("AdminGetuser", known, in), fault.UnknownOperationException, "")
		want.Equal(t, in.asked, nil)
	})
	t.Run("described and not built", func(t *testing.T) {
		t.Parallel()
		in := &caller{}
		says(t, newHouse(t).ask("AdminInitiateAuth", known, in), fault.UnsupportedOperationException, "The operation AdminInitiateAuth is described here and not built yet.")
		want.Equal(t, in.asked, []string{"authenticate"})
	})
	t.Run("an unsigned call is refused before its body is read", func(t *testing.T) {
		t.Parallel()
		in := &caller{refuse: fault.Signature(fault.MissingAuthenticationTokenException, "Missing Authentication Token")}
		says(t, newHouse(t).ask("AdminGetUser", known, in), fault.MissingAuthenticationTokenException, "Missing Authentication Token")
		want.Equal(t, in.asked, []string{"authenticate"})
	})
	t.Run("a public operation needs no signature", func(t *testing.T) {
		t.Parallel()
		in := &caller{fill: func(into any) (dispatch.Missing, error) { return nil, fault.Malformed() }}
		says(t, newHouse(t).ask("SignUp", "", in), fault.SerializationException, "")
		want.Equal(t, in.asked, []string{"decode"})
	})
	t.Run("constraints before the pool", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		r := h.ask("AdminGetUser", "abc", &caller{})
		want.Equal(t, r.Err.Code, fault.InvalidParameterException)
		want.Equal(t, h.settings.reads, 0)
	})
	t.Run("unknown pool", func(t *testing.T) {
		t.Parallel()
		says(t, newHouse(t).ask("AdminGetUser", "us-east-1_None", &caller{}), fault.ResourceNotFoundException, "User pool us-east-1_None does not exist.")
	})
	t.Run("unknown client", func(t *testing.T) {
		t.Parallel()
		in := &caller{fill: func(into any) (dispatch.Missing, error) {
			into.(*api.DescribeUserPoolClientInput).UserPoolId, into.(*api.DescribeUserPoolClientInput).ClientId = known, "other"
			return nil, nil
		}}
		says(t, newHouse(t).ask("DescribeUserPoolClient", known, in), fault.ResourceNotFoundException, "User pool client other does not exist.")
	})
	t.Run("a client without its pool", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		var got *dispatch.Call
		h.run = func(c *dispatch.Call) error { got = c; return nil }
		for range 3 {
			r := h.ask("SignUp", "known", &caller{})
			want.True(t, r.Err == nil, "%v", r.Err)
			want.Equal(t, []string{r.PoolID, got.Pool.ID, got.Client.ID}, []string{known, known, "known"})
		}
		want.Equal(t, []int{h.settings.reads, h.settings.searches}, []int{1, 1})
		says(t, h.ask("SignUp", "other", &caller{}), fault.ResourceNotFoundException, "User pool client other does not exist.")

		// Its pool goes, and the id comes again in another one.
		h.Settings.Forget(known)
		h.settings.pool = nil
		says(t, h.ask("SignUp", "known", &caller{}), fault.ResourceNotFoundException, "User pool client known does not exist.")
		h.settings.pool = &pool.Pool{ID: "us-east-1_New", Region: "us-east-1"}
		want.Equal(t, h.ask("SignUp", "known", &caller{}).PoolID, "us-east-1_New")

		h.settings.pool = &pool.Pool{ID: "us-east-1_New", Region: "us-east-1", Replica: true}
		h.Settings.Forget("us-east-1_New")
		says(t, h.ask("SignUp", "known", &caller{}), fault.OperationNotEnabledException, "The operation SignUp is not enabled on a secondary replica.")
	})
	t.Run("stale settings of a client without its pool are read again", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.run = func(*dispatch.Call) error {
			if h.ran < 3 {
				return store.ErrStale
			}
			return nil
		}
		want.True(t, h.ask("SignUp", "known", &caller{}).Err == nil, "the third try succeeds")
		want.Equal(t, []int{h.ran, h.settings.reads, h.settings.searches}, []int{3, 3, 1})
	})
	t.Run("a key of other pools tells nothing about this one", func(t *testing.T) {
		t.Parallel()
		p := dispatch.Principal{ARN: "arn:aws:iam::123456789012:user/ci", Pools: []string{"us-east-1_Other"}}
		for _, id := range []string{known, "us-east-1_None"} {
			h := newHouse(t)
			says(t, h.ask("AdminGetUser", id, &caller{principal: p}), fault.AccessDeniedException,
				"User: arn:aws:iam::123456789012:user/ci is not authorized to perform: cognito-idp:AdminGetUser on resource: arn:aws:cognito-idp:us-east-1:123456789012:userpool/"+id+" because no identity-based policy allows the cognito-idp:AdminGetUser action")
			want.Equal(t, h.settings.reads, 0)
		}
	})
	t.Run("resource names", func(t *testing.T) {
		t.Parallel()
		for arn, wants := range map[string]string{
			"arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_Abc":  "",
			"arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_None": "ResourceNotFoundException: User pool us-east-1_None does not exist.",
			"arn:aws:cognito-idp:eu-west-1:123456789012:userpool/us-east-1_Abc":  "ResourceNotFoundException: User pool us-east-1_Abc does not exist.",
			"arn:aws:cognito-idp:us-east-1:999999999999:userpool/us-east-1_Abc":  "ResourceNotFoundException: User pool us-east-1_Abc does not exist.",
			"arn:aws:s3:us-east-1:123456789012:userpool/us-east-1_Abc":           "InvalidParameterException: Invalid resource ARN: arn:aws:s3:us-east-1:123456789012:userpool/us-east-1_Abc",
		} {
			r := newHouse(t).ask("ListTagsForResource", arn, &caller{})
			got := ""
			if r.Err != nil {
				got = string(r.Err.Code) + ": " + r.Err.Message
			}
			want.Equal(t, got, wants)
		}
	})
	t.Run("settings are read once", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		for range 3 {
			h.ask("AdminGetUser", known, &caller{})
		}
		want.Equal(t, h.settings.reads, 1)
		h.Settings.Forget(known)
		h.ask("AdminGetUser", known, &caller{})
		want.Equal(t, h.settings.reads, 2)
		h.Settings.MaxAge = time.Second
		h.Settings.Clock.(*clock.Fake).Advance(2 * time.Second)
		h.ask("AdminGetUser", known, &caller{})
		want.Equal(t, h.settings.reads, 3)
	})
	t.Run("stale settings are read again", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.run = func(*dispatch.Call) error {
			if h.ran < 3 {
				return store.ErrStale
			}
			return nil
		}
		want.True(t, h.ask("AdminDeleteUser", known, &caller{}).Err == nil, "the third try succeeds")
		want.Equal(t, []int{h.ran, h.settings.reads}, []int{3, 3})
		h.run = func(*dispatch.Call) error { return store.ErrStale }
		says(t, h.ask("AdminDeleteUser", known, &caller{}), fault.TooManyRequestsException, "Rate exceeded")
		want.Equal(t, h.ran, 7)
	})
	t.Run("an error that is no fault", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.run = func(*dispatch.Call) error { return errors.New("disk on fire") }
		r := h.ask("AdminDeleteUser", known, &caller{})
		says(t, r, fault.InternalErrorException, "The request could not be processed. Request id: r1")
		want.True(t, r.Cause != nil && !strings.Contains(r.Err.Message, "fire"), "the cause is for the log: %v", r.Cause)
	})
	t.Run("a busy database", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.run = func(*dispatch.Call) error { return fmt.Errorf("update: %w", store.ErrBusy) }
		says(t, h.ask("AdminDeleteUser", known, &caller{}), fault.TooManyRequestsException, "Rate exceeded")
	})
	t.Run("a replica", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.settings.pool.Replica = true
		says(t, h.ask("AdminDeleteUser", known, &caller{}), fault.OperationNotEnabledException, "The operation AdminDeleteUser is not enabled on a secondary replica.")
		want.True(t, h.ask("AdminGetUser", known, &caller{}).Err == nil, "reads are answered")
	})
}

func TestHandleTwicePanics(t *testing.T) {
	t.Parallel()
	defer func() {
		want.True(t, recover() != nil, "no panic")
	}()
	reg := dispatch.NewRegistry()
	for range 2 {
		dispatch.Handle(reg, api.AdminDeleteUser, func(context.Context, *dispatch.Call, *api.AdminDeleteUserInput) (*struct{}, error) { return nil, nil })
	}
}
