// Package kms asks a key service that speaks the KMS API for data keys: AWS itself, LocalStack, or another server that does. Of the
// whole API it needs one operation.
//
// The key service without a service is next door, in vault.
package kms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/awssign"
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
	signer *awssign.Signer
	client *http.Client
	real   clock.Clock
}

// New returns a service; it calls nothing.
func New(o Options) *Service {
	return &Service{signer: awssign.New("kms", o.Endpoint, o.Region), client: webhook.NewClient(), real: o.Real}
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
	answer, err := s.call(ctx, keyID, "TrentService.GenerateDataKey", body)
	if err != nil {
		return keyring.DataKey{}, fmt.Errorf("ask for a data key: %w", err)
	}
	if answer.Status != http.StatusOK {
		return keyring.DataKey{}, refusal(answer.Status, answer.Body)
	}
	var out generateOutput
	if err := json.Unmarshal(answer.Body, &out); err != nil || len(out.Plaintext) != keyring.KeySize || len(out.CiphertextBlob) == 0 || out.KeyID == "" {
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
func (s *Service) call(ctx context.Context, keyID, target string, body []byte) (webhook.Answer, error) {
	region := s.signer.RegionOf(keyID)
	address := s.signer.Address(region)
	header, err := s.signer.Sign(ctx, address, region, http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amz-Target": {target}}, body, s.real.Now())
	if err != nil {
		return webhook.Answer{}, err
	}
	return webhook.Post(ctx, s.client, address, header, body, answerLimit)
}
