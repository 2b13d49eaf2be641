package messages

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// PreSignUp asks the pool's PreSignUp function, if there is one, whether the user may be created. It must run before
// the write and outside every transaction. Of the answer, AdminCreateUser uses nothing.
func (m *Messages) PreSignUp(ctx context.Context, c *dispatch.Call, p *pool.Pool, s notice.SignUp) (notice.SignUpAnswer, error) {
	if p.Lambda.Function(notice.PreSignUp) == "" {
		return notice.SignUpAnswer{}, nil
	}
	clientID := ""
	if c.Client != nil {
		clientID = c.Client.ID
	}
	var answer notice.SignUpAnswer
	err := m.run(ctx, p, notice.PreSignUp, notice.PreSignUpEvent(p, s, notice.CallerOf(c.UserAgent, clientID)),
		func(response json.RawMessage) (err error) {
			answer, err = notice.ParseSignUp(response)
			return err
		})
	return answer, err
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

// run calls the pool's function for a trigger and reads its response. Its error is a fault, unless the caller gave up.
func (m *Messages) run(ctx context.Context, p *pool.Pool, name string, e *notice.Event, read func(json.RawMessage) error) error {
	event, err := e.JSON()
	if err != nil {
		return err
	}
	began := m.Real.Now()
	response, err := m.Hooks.Run(ctx, &trigger.Call{Trigger: name, ARN: p.Lambda.Function(name), PoolID: p.ID, PoolARN: p.ARN(),
		Account: p.Account, Event: event})
	if err != nil {
		err = failure(name, err)
	} else {
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
