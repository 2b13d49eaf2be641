package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/poolhouse/poolhouse/internal/kit/awssign"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/webhook"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
)

// invokeAPI calls functions through the Lambda Invoke API.
type invokeAPI struct {
	signer *awssign.Signer
	client *http.Client
	real   clock.Clock
}

func (a *invokeAPI) invoke(ctx context.Context, c *trigger.Call) ([]byte, error) {
	region := a.signer.RegionOf(c.ARN)
	address := a.signer.Address(region) + "/2015-03-31/functions/" + url.QueryEscape(c.ARN) + "/invocations"
	kind := "RequestResponse"
	if c.Hand {
		kind = "Event"
	}
	header, err := a.signer.Sign(ctx, address, region, http.Header{"Content-Type": {"application/octet-stream"}, "X-Amz-Invocation-Type": {kind}}, c.Event, a.real.Now())
	switch {
	case errors.Is(err, awssign.ErrSettings):
		return nil, &trigger.Unreachable{Reason: "AccessDeniedException", Cause: err}
	case err != nil: // whoever gives credentials may be away
		return nil, &trigger.Unreachable{Reason: serviceException, Cause: err}
	}
	answer, err := webhook.Post(ctx, a.client, address, header, c.Event, answerLimit)
	switch {
	case errors.Is(err, webhook.ErrTooLarge):
		return nil, tooLarge()
	case err != nil:
		return nil, &trigger.Unreachable{Reason: serviceException, Cause: err}
	case answer.Status < 200 || answer.Status > 299:
		return nil, refused(answer)
	case answer.Header.Get(errorHeader) == "":
		return answer.Body, nil
	}
	if failed, ok := functionError(answer.Body); ok {
		return nil, failed
	}
	return nil, &trigger.FunctionError{Message: "Unknown error"}
}

// refused translates the service's refusals. Their name stands in a header or in the body, with a namespace before it or an address
// behind it.
func refused(answer webhook.Answer) error {
	var said struct {
		Type    string `json:"__type"`
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(answer.Body, &said) // a proxy on the way may answer with a page
	reason := serviceException
	for _, name := range []string{answer.Header.Get("X-Amzn-Errortype"), said.Type, said.Code} {
		name, _, _ = strings.Cut(name, ":")
		if name = name[strings.LastIndexByte(name, '#')+1:]; name != "" {
			reason = name
			break
		}
	}
	cause := fmt.Errorf("the Lambda service answered %d %s: %s", answer.Status, reason, clip(said.Message))
	if answer.Status == http.StatusTooManyRequests {
		return &throttled{cause}
	}
	return &trigger.Unreachable{Reason: reason, Cause: cause}
}
