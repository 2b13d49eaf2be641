package lambda

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/kit/webhook"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
)

// Headers of a post. The signature covers the first two and the body, in this order.
const (
	functionHeader = "Poolhouse-Function-Arn" // which function is meant
	sourceHeader   = "Poolhouse-Source-Arn"   // the pool that calls
	accountHeader  = "Poolhouse-Source-Account"
	// errorHeader marks an answer as a function's error, as in the Lambda API.
	errorHeader = "X-Amz-Function-Error"
)

// hook posts events to a URL. A 2xx answer is the event with its response; {"errorMessage"} with another status, or with
// errorHeader, is the function's error; 429 asks to come again.
type hook struct {
	url    string
	secret secret.Text
	client *http.Client
	real   clock.Clock
}

func (h *hook) invoke(ctx context.Context, c *trigger.Call) ([]byte, error) {
	header := http.Header{functionHeader: {c.ARN}, sourceHeader: {c.PoolARN}, accountHeader: {c.Account}}
	if !h.secret.IsZero() {
		header.Set(webhook.SignatureHeader, webhook.Sign([]byte(h.secret.Reveal()), h.real.Now(), []byte(c.ARN), []byte(c.PoolARN), c.Event))
	}
	answer, err := webhook.Post(ctx, h.client, h.url, header, c.Event, answerLimit)
	if errors.Is(err, webhook.ErrTooLarge) {
		return nil, tooLarge()
	}
	if err != nil {
		return nil, &trigger.Unreachable{Reason: serviceException, Cause: err}
	}
	good := answer.Status >= 200 && answer.Status < 300
	said := fmt.Errorf("the hook answered %d", answer.Status)
	if answer.Status == http.StatusTooManyRequests {
		return nil, &throttled{said}
	}
	if !good || answer.Header.Get(errorHeader) != "" {
		if failed, ok := functionError(answer.Body); ok {
			return nil, failed
		}
	}
	switch {
	case answer.Header.Get(errorHeader) != "":
		return nil, &trigger.FunctionError{Message: "Unknown error"}
	case good:
		return answer.Body, nil
	case answer.Status == http.StatusUnauthorized, answer.Status == http.StatusForbidden:
		return nil, &trigger.Unreachable{Reason: "AccessDeniedException", Cause: said}
	case answer.Status == http.StatusNotFound:
		return nil, &trigger.Unreachable{Reason: "ResourceNotFoundException", Cause: said}
	case answer.Status >= 500:
		return nil, &trigger.Unreachable{Reason: serviceException, Cause: said}
	}
	return nil, &trigger.Unreachable{Reason: "InvalidRequestContentException", Cause: said}
}
