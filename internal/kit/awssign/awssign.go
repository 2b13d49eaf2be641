// Package awssign signs requests to the APIs of AWS, and to servers that speak them. Of the AWS SDK it takes credentials and
// signatures alone: the client of a whole service would be a twentieth of the program, for one operation.
package awssign

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

// ErrSettings says that what AWS tools are told by the environment or by files makes no sense, so that no credentials were looked for.
var ErrSettings = errors.New("load AWS configuration")

// Signer signs requests to one service, with the credentials that AWS tools find in the environment, in files or on the machine.
type Signer struct {
	service, endpoint, region string
	signer                    *v4.Signer

	mu       sync.Mutex
	provider aws.CredentialsProvider // found with the first call; it keeps credentials, and asks for new ones once for all callers
}

// New returns a signer for a service, named as in host names and signatures, such as "kms". The endpoint is where a server of one's own
// is, "" for AWS; such a server is called with any credentials when there are none. The region is that of all calls, "" for that of
// the ARN of each.
func New(service, endpoint, region string) *Signer {
	return &Signer{service: service, endpoint: strings.TrimSuffix(endpoint, "/"), region: region, signer: v4.NewSigner()}
}

// RegionOf is the region of a call about an ARN.
func (s *Signer) RegionOf(arn string) string {
	if s.region != "" {
		return s.region
	}
	if parts := strings.SplitN(arn, ":", 5); len(parts) == 5 && parts[3] != "" {
		return parts[3]
	}
	return "us-east-1"
}

// domains are the names under which AWS has regions that are not at amazonaws.com, by their beginnings.
var domains = [...]struct{ region, domain string }{
	{"cn-", "amazonaws.com.cn"}, {"us-iso-", "c2s.ic.gov"}, {"us-isob-", "sc2s.sgov.gov"}, {"eu-isoe-", "cloud.adc-e.uk"}, {"us-isof-", "csp.hci.ic.gov"},
	{"eusc-", "amazonaws.eu"},
}

// Address is where the service takes calls of a region, without a slash at its end.
func (s *Signer) Address(region string) string {
	if s.endpoint != "" {
		return s.endpoint
	}
	domain := "amazonaws.com"
	for _, d := range domains {
		if strings.HasPrefix(region, d.region) {
			domain = d.domain
		}
	}
	return "https://" + s.service + "." + region + "." + domain
}

// Sign returns the header of a post with its signature. Whoever posts must add nothing but a User-Agent. It may ask the machine or a
// service for credentials.
func (s *Signer) Sign(ctx context.Context, address, region string, header http.Header, body []byte, now time.Time) (http.Header, error) {
	who, err := s.who(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the endpoint is no URL")
	}
	req.Header = header.Clone()
	sum := sha256.Sum256(body)
	if err := s.signer.SignHTTP(ctx, who, req, hex.EncodeToString(sum[:]), s.service, region, now); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return req.Header, nil
}

func (s *Signer) who(ctx context.Context) (aws.Credentials, error) {
	provider, err := s.find(ctx)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	found, err := provider.Retrieve(ctx)
	if err != nil && s.endpoint != "" && ctx.Err() == nil {
		// LocalStack, SAM and servers like them take any credentials.
		return credentials.NewStaticCredentialsProvider("test", "test", "").Value, nil
	}
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("find AWS credentials: %w", err)
	}
	return found, nil
}

// find finds where credentials come from. It reads files and asks nobody.
func (s *Signer) find(ctx context.Context) (aws.CredentialsProvider, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.provider != nil {
		return s.provider, nil
	}
	var load []func(*config.LoadOptions) error
	if s.endpoint != "" {
		// A server of one's own is no business of the machine's role, and asking for it costs seconds elsewhere.
		load = append(load, config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, err
	}
	s.provider = cfg.Credentials
	return s.provider, nil
}
