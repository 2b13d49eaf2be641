// Package kms asks a key service that speaks the KMS API for data keys: AWS itself, LocalStack, or another server that does. Of the
// whole API it needs one operation, so that it makes the call itself and takes only credentials and signatures from the AWS SDK.
//
// The key service without a service is next door, in vault.
package kms

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"

	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/webhook"
	"github.com/poolhouse/poolhouse/internal/port/keyring"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

const (
	answerLimit = 64 << 10
	callLimit   = 5 * time.Second
)

// Options say where the service is.
type Options struct {
	Endpoint string // "" for AWS in the region of the key
	Region   string // "" for that of the key's ARN
	Real     clock.Clock
}

// Service makes data keys. It is a keyring.Ring.
type Service struct {
	o      Options
	client *http.Client
	signer *v4.Signer

	mu          sync.Mutex
	credentials aws.CredentialsProvider // found with the first call
}

// New returns a service; it calls nothing.
func New(o Options) *Service {
	return &Service{o: o, client: webhook.NewClient(), signer: v4.NewSigner()}
}

type generateInput struct {
	KeyID             string `json:"KeyId"`
	KeySpec           string
	EncryptionContext map[string]string `json:",omitempty"`
}

type generateOutput struct {
	CiphertextBlob, Plaintext []byte
	KeyID                     string `json:"KeyId"`
}

// Generate implements keyring.Ring.
func (s *Service) Generate(ctx context.Context, keyID string, bound map[string]string) (keyring.DataKey, error) {
	if err := errors.Join(store.Outside(ctx), ctx.Err()); err != nil {
		return keyring.DataKey{}, err
	}
	body, err := json.Marshal(generateInput{keyID, "AES_256", bound})
	if err != nil {
		return keyring.DataKey{}, fmt.Errorf("ask for a data key: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	status, text, err := s.call(ctx, keyID, "TrentService.GenerateDataKey", body)
	if err != nil {
		return keyring.DataKey{}, fmt.Errorf("ask for a data key: %w", err)
	}
	if status != http.StatusOK {
		return keyring.DataKey{}, refusal(status, text)
	}
	var out generateOutput
	if err := json.Unmarshal(text, &out); err != nil || len(out.Plaintext) != keyring.KeySize || len(out.CiphertextBlob) == 0 || out.KeyID == "" {
		return keyring.DataKey{}, errors.New("the key service answered no data key") // its text may hold one: it is not repeated
	}
	return keyring.DataKey{Plain: out.Plaintext, Wrapped: out.CiphertextBlob, KeyARN: out.KeyID}, nil
}

// refusal is what a failed call says. Throttling and errors of the service's own may pass.
func refusal(status int, text []byte) error {
	var said struct {
		Type string `json:"__type"`
	}
	if json.Unmarshal(text, &said) != nil || said.Type == "" {
		said.Type = http.StatusText(status)
	}
	_, name, found := strings.Cut(said.Type, "#")
	if !found {
		name = said.Type
	}
	if status >= 500 || status == http.StatusTooManyRequests || strings.Contains(name, "Throttling") || name == "LimitExceededException" {
		return fmt.Errorf("the key service answered %d %s", status, name)
	}
	return fmt.Errorf("%w: %d %s", keyring.ErrRefused, status, name)
}

// call makes a signed request.
func (s *Service) call(ctx context.Context, keyID, target string, body []byte) (status int, text []byte, err error) {
	region := s.region(keyID)
	address := s.o.Endpoint
	if address == "" {
		address = "https://kms." + region + ".amazonaws.com/"
	}
	who, err := s.who(ctx)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, nil, errors.New("the endpoint is no URL")
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", target)
	req.Header.Set("User-Agent", "poolhouse")
	sum := sha256.Sum256(body)
	if err := s.signer.SignHTTP(ctx, who, req, hex.EncodeToString(sum[:]), "kms", region, s.o.Real.Now()); err != nil {
		return 0, nil, fmt.Errorf("sign: %w", err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err
		}
		return 0, nil, err
	}
	defer resp.Body.Close()
	if text, err = io.ReadAll(io.LimitReader(resp.Body, answerLimit)); err != nil {
		return 0, nil, fmt.Errorf("read the answer: %w", err)
	}
	return resp.StatusCode, text, nil
}

func (s *Service) region(keyID string) string {
	if s.o.Region != "" {
		return s.o.Region
	}
	if parts := strings.SplitN(keyID, ":", 5); len(parts) == 5 && parts[3] != "" {
		return parts[3]
	}
	return "us-east-1"
}

// who finds the credentials that AWS tools find in the environment, in files or on the machine.
func (s *Service) who(ctx context.Context) (aws.Credentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credentials == nil {
		var load []func(*config.LoadOptions) error
		if s.o.Endpoint != "" {
			// An endpoint of one's own is no business of the machine's role, and asking for it costs seconds elsewhere.
			load = append(load, config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
		}
		cfg, err := config.LoadDefaultConfig(ctx, load...)
		if err != nil {
			return aws.Credentials{}, fmt.Errorf("load AWS configuration: %w", err)
		}
		s.credentials = cfg.Credentials
	}
	found, err := s.credentials.Retrieve(ctx)
	if err != nil && s.o.Endpoint != "" && ctx.Err() == nil {
		// LocalStack and servers like it take any credentials.
		return credentials.NewStaticCredentialsProvider("test", "test", "").Value, nil
	}
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("find AWS credentials: %w", err)
	}
	return found, nil
}
