package lambda

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/poolhouse/poolhouse/internal/kit/webhook"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
)

// invokeAPI calls functions through the Lambda Invoke API, with the credentials that AWS tools find in the environment, in
// files or on the machine.
type invokeAPI struct {
	endpoint, region string

	mu     sync.Mutex
	client *awslambda.Client // made with the first call, which needs it
}

func (a *invokeAPI) invoke(ctx context.Context, c *trigger.Call) ([]byte, error) {
	client, err := a.connect(ctx)
	if err != nil {
		return nil, &trigger.Unreachable{Reason: "AccessDeniedException", Cause: err}
	}
	kind := types.InvocationTypeRequestResponse
	if c.Hand {
		kind = types.InvocationTypeEvent
	}
	out, err := client.Invoke(ctx, &awslambda.InvokeInput{FunctionName: &c.ARN, InvocationType: kind, Payload: c.Event}, func(o *awslambda.Options) { o.Region = a.regionOf(c.ARN) })
	if err != nil {
		return nil, refused(err)
	}
	if out.FunctionError != nil {
		if failed, ok := functionError(out.Payload); ok {
			return nil, failed
		}
		return nil, &trigger.FunctionError{Message: "Unknown error"}
	}
	return out.Payload, nil
}

// refused translates the service's refusals.
func refused(err error) error {
	if errors.Is(err, webhook.ErrTooLarge) {
		return tooLarge()
	}
	reason, status := serviceException, 0
	if said, ok := errors.AsType[smithy.APIError](err); ok {
		reason = said.ErrorCode()
	}
	if answered, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err); ok {
		status = answered.HTTPStatusCode()
	}
	if status == http.StatusTooManyRequests {
		return &throttled{err}
	}
	return &trigger.Unreachable{Reason: reason, Cause: err}
}

func (a *invokeAPI) regionOf(arn string) string {
	if a.region != "" {
		return a.region
	}
	if parts := strings.SplitN(arn, ":", 5); len(parts) == 5 && parts[3] != "" {
		return parts[3]
	}
	return "us-east-1"
}

func (a *invokeAPI) connect(ctx context.Context) (*awslambda.Client, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.client != nil {
		return a.client, nil
	}
	load := []func(*config.LoadOptions) error{}
	if a.endpoint != "" {
		// An endpoint of one's own is no business of the machine's role, and asking for it costs seconds elsewhere.
		load = append(load, config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("load AWS configuration: %w", err)
	}
	o := awslambda.Options{Credentials: cfg.Credentials, HTTPClient: boundedClient(), Retryer: aws.NopRetryer{}}
	if a.endpoint != "" {
		o.BaseEndpoint = &a.endpoint
		if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
			// LocalStack and SAM take any credentials.
			o.Credentials = credentials.NewStaticCredentialsProvider("test", "test", "")
		}
	}
	a.client = awslambda.New(o)
	return a.client, nil
}

// boundedClient is a client whose answers end at the limit: the SDK reads them whole.
func boundedClient() *http.Client {
	client := webhook.NewClient()
	client.Transport = &boundedTransport{client.Transport}
	return client
}

type boundedTransport struct{ next http.RoundTripper }

func (t *boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err == nil {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: answerLimit}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

// Read fails with webhook.ErrTooLarge as soon as there is more than the limit.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, webhook.ErrTooLarge
	}
	return n, err
}
