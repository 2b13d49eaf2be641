package messages

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// PreSignUp asks the pool's PreSignUp function, if there is one, whether the user may be created. It must run before
// the write and outside every transaction. Of the answer, AdminCreateUser uses nothing.
func (m *Messages) PreSignUp(ctx context.Context, c *dispatch.Call, p *pool.Pool, s notice.SignUp) (notice.SignUpAnswer, error) {
	if p.Lambda.Function(notice.PreSignUp) == "" {
		return notice.SignUpAnswer{}, nil
	}
	var answer notice.SignUpAnswer
	err := m.run(ctx, p, notice.PreSignUp, notice.PreSignUpEvent(p, s, caller(c)),
		func(response json.RawMessage) (err error) {
			answer, err = notice.ParseSignUp(response)
			return err
		})
	return answer, err
}

// caller is what functions learn of a call.
func caller(c *dispatch.Call) notice.Caller {
	if c.Client == nil {
		return notice.CallerOf(c.UserAgent, "")
	}
	return notice.CallerOf(c.UserAgent, c.Client.ID)
}

// PostConfirmation tells the pool's PostConfirmation function, if there is one, that the user is confirmed. source is
// notice.SourceConfirmedSignUp or the like. It runs after the commit: its fault is the caller's to read and changes
// nothing. Of its answer nothing is used.
func (m *Messages) PostConfirmation(ctx context.Context, c *dispatch.Call, p *pool.Pool, r *user.Record, source string, metadata map[string]string) error {
	if p.Lambda.Function(notice.PostConfirmation) == "" {
		return nil
	}
	return m.run(ctx, p, notice.PostConfirmation, notice.PostConfirmationEvent(p, r, source, metadata, caller(c)),
		func(json.RawMessage) error { return nil })
}

// Migrate asks the pool's UserMigration function, if there is one, for the user of a name that nobody has, because
// somebody forgot the password. It must run outside every transaction. Without a function, and where the function knows
// nobody, the answer has no attributes.
func (m *Messages) Migrate(ctx context.Context, c *dispatch.Call, username string, metadata map[string]string) (notice.Migration, error) {
	if c.Pool.Lambda.Function(notice.UserMigration) == "" {
		return notice.Migration{}, nil
	}
	var answer notice.Migration
	err := m.run(ctx, c.Pool, notice.UserMigration, notice.MigrationEvent(c.Pool, username, metadata, caller(c)),
		func(response json.RawMessage) (err error) {
			answer, err = notice.ParseMigration(response)
			return err
		})
	return answer, err
}

// MigrateAtSignIn asks the pool's UserMigration function, which there must be, about a name that nobody has, and the password that came
// with it.
func (m *Messages) MigrateAtSignIn(ctx context.Context, c *dispatch.Call, username string, password secret.Text, validation map[string]string) (answer notice.Migration, err error) {
	err = m.run(ctx, c.Pool, notice.UserMigration, notice.MigrationAtSignInEvent(c.Pool, username, password, validation, caller(c)),
		func(response json.RawMessage) (err error) {
			answer, err = notice.ParseMigration(response)
			return err
		})
	return answer, err
}

// PreAuthentication asks the pool's PreAuthentication function, if there is one, whether a sign-in may begin. r is nil for a name
// that nobody has.
func (m *Messages) PreAuthentication(ctx context.Context, c *dispatch.Call, r *user.Record, username string, validation map[string]string) error {
	if c.Pool.Lambda.Function(notice.BeforeSignIn) == "" {
		return nil
	}
	return m.run(ctx, c.Pool, notice.BeforeSignIn, notice.BeforeSignInEvent(c.Pool, r, username, validation, caller(c)),
		func(json.RawMessage) error { return nil })
}

// PostAuthentication tells the pool's PostAuthentication function, if there is one, that a user has proven who it is. Its fault refuses
// the sign-in.
func (m *Messages) PostAuthentication(ctx context.Context, c *dispatch.Call, r *user.Record, metadata map[string]string) error {
	if c.Pool.Lambda.Function(notice.AfterSignIn) == "" {
		return nil
	}
	return m.run(ctx, c.Pool, notice.AfterSignIn, notice.SignedInEvent(c.Pool, r, metadata, caller(c)),
		func(json.RawMessage) error { return nil })
}

// PreTokenGeneration asks the pool's PreTokenGeneration function, if there is one, what the tokens of a user shall hold; nil: what they
// hold anyway.
func (m *Messages) PreTokenGeneration(ctx context.Context, c *dispatch.Call, r *user.Record, t notice.Tokens) (o *token.Override, err error) {
	if c.Pool.Lambda.Function(pool.PreTokenGeneration) == "" {
		return nil, nil
	}
	t.Version = c.Pool.Lambda.TokenVersion()
	err = m.run(ctx, c.Pool, pool.PreTokenGeneration, notice.TokensEvent(c.Pool, r, t, caller(c)),
		func(response json.RawMessage) (err error) {
			o, err = token.ParseOverride(t.Version, response)
			return err
		})
	return o, err
}

// MachineTokenGeneration asks the pool's PreTokenGeneration function, if there is one of version 3, what the token of a client itself
// shall hold; functions of earlier versions are not asked (documented).
func (m *Messages) MachineTokenGeneration(ctx context.Context, c *dispatch.Call, scopes []string, metadata map[string]string) (o *token.Override, err error) {
	if c.Pool.Lambda.Function(pool.PreTokenGeneration) == "" || c.Pool.Lambda.TokenVersion() != token.V3 {
		return nil, nil
	}
	err = m.run(ctx, c.Pool, pool.PreTokenGeneration, notice.MachineTokensEvent(c.Pool, scopes, metadata, caller(c)),
		func(response json.RawMessage) (err error) {
			o, err = token.ParseOverride(token.V3, response)
			return err
		})
	return o, err
}

// DefineAuthChallenge asks the pool's DefineAuthChallenge function what a custom sign-in goes on to. A pool without the function
// cannot be signed in to in this way, as one without either of the next two cannot ask a challenge of its own.
func (m *Messages) DefineAuthChallenge(ctx context.Context, c *dispatch.Call, a notice.Asked, history []notice.Answered) (d notice.Defined, err error) {
	err = m.need(ctx, c, notice.DefineChallenge, notice.DefineEvent(c.Pool, a, history, caller(c)), func(response json.RawMessage) (err error) {
		d, err = notice.ParseDefined(response)
		return err
	})
	return d, err
}

// CreateAuthChallenge asks the pool's CreateAuthChallenge function for the challenge of a name.
func (m *Messages) CreateAuthChallenge(ctx context.Context, c *dispatch.Call, a notice.Asked, name string, history []notice.Answered) (made notice.Created, err error) {
	err = m.need(ctx, c, notice.CreateChallenge, notice.CreateEvent(c.Pool, a, name, history, caller(c)), func(response json.RawMessage) (err error) {
		made, err = notice.ParseCreated(response)
		return err
	})
	return made, err
}

// VerifyAuthChallenge asks the pool's VerifyAuthChallengeResponse function whether an answer is right.
func (m *Messages) VerifyAuthChallenge(ctx context.Context, c *dispatch.Call, a notice.Asked, private map[string]string, answer string) (right bool, err error) {
	err = m.need(ctx, c, notice.VerifyChallenge, notice.VerifyEvent(c.Pool, a, private, answer, caller(c)), func(response json.RawMessage) (err error) {
		right, err = notice.ParseVerified(response)
		return err
	})
	return right, err
}

// need is run for a function that the pool must have.
func (m *Messages) need(ctx context.Context, c *dispatch.Call, name string, e *notice.Event, read func(json.RawMessage) error) error {
	if c.Pool.Lambda.Function(name) == "" {
		return fault.NoCustomFunction()
	}
	return m.run(ctx, c.Pool, name, e, read)
}

// custom asks the pool's CustomMessage function for texts.
func (m *Messages) custom(ctx context.Context, p *pool.Pool, e *notice.Event) (custom notice.Custom, err error) {
	err = m.run(ctx, p, notice.CustomMessage, e, func(response json.RawMessage) (err error) {
		if custom, err = notice.ParseCustom(response); err != nil {
			return err
		}
		return notice.CheckCustom(p, e.Source, custom)
	})
	return custom, err
}

// run calls the pool's function for a trigger and reads its response; with a nil read the function is handed the event, and nobody
// waits for a response. Its error is a fault, unless the caller gave up.
func (m *Messages) run(ctx context.Context, p *pool.Pool, name string, e *notice.Event, read func(json.RawMessage) error) error {
	event, err := e.JSON()
	if err != nil {
		return err
	}
	began := m.Real.Now()
	response, err := m.Hooks.Run(ctx, &trigger.Call{Trigger: name, ARN: p.Lambda.Function(name), PoolID: p.ID, PoolARN: p.ARN(),
		Account: p.Account, Event: event, Hand: read == nil})
	if err != nil {
		err = failure(name, err)
	} else if read != nil {
		err = read(response)
	}
	if m.Observe.Trigger != nil {
		outcome := "ok"
		if err != nil {
			outcome = string(fault.CodeOf(err))
		}
		m.Observe.Trigger(name, outcome, m.Real.Since(began))
	}
	return err
}

// failure is what a client reads when a function could not be run.
func failure(name string, err error) error {
	if failed, ok := errors.AsType[*trigger.FunctionError](err); ok {
		return fault.TriggerFailed(name, failed.Message).Because(err)
	}
	if unreachable, ok := errors.AsType[*trigger.Unreachable](err); ok {
		return fault.TriggerUnreachable(name, unreachable.Reason).Because(err)
	}
	switch {
	case errors.Is(err, trigger.ErrTimeout):
		return fault.TriggerTimeout().Because(err)
	case errors.Is(err, trigger.ErrNotJSON):
		return fault.TriggerNotJSON().Because(err)
	case errors.Is(err, trigger.ErrUnrecognizable):
		return fault.TriggerUnrecognizable().Because(err)
	}
	return err
}
