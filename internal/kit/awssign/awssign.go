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

// Signer signs requests to one service, with the credentials that AWS tools find in the environment, in files or on the machine.
type Signer struct {
	Service string // as in host names and signatures, such as "kms"
	// Endpoint is where a server of one's own is, without a slash at its end; "" for AWS. A server of one's own is called with
	// any credentials when there are none.
	Endpoint string
	// Region is the region of all calls; "" for that of the ARN of each.
	Region string

	mu       sync.Mutex
	provider aws.CredentialsProvider // found with the first call
}

// RegionOf is the region of a call about an ARN.
func (s *Signer) RegionOf(arn string) string {
	if s.Region != "" {
		return s.Region
	}
	if parts := strings.SplitN(arn, ":", 5); len(parts) == 5 && parts[3] != "" {
		return parts[3]
	}
	return "us-east-1"
}

// domains are the names under which AWS has its regions, by the beginnings of these.
var domains = [...]struct{ region, domain string }{
	{"cn-", "amazonaws.com.cn"}, {"us-iso-", "c2s.ic.gov"}, {"us-isob-", "sc2s.sgov.gov"}, {"eu-isoe-", "cloud.adc-e.uk"}, {"us-isof-", "csp.hci.ic.gov"},
	{"eusc-", "amazonaws.eu"}, {"", "amazonaws.com"},
}

// Address is where the service takes calls of a region.
func (s *Signer) Address(region string) string {
	if s.Endpoint != "" {
		return strings.TrimSuffix(s.Endpoint, "/")
	}
	for _, d := range domains {
		if strings.HasPrefix(region, d.region) {
			return "https://" + s.Service + "." + region + "." + d.domain
		}
	}
	return "" // not reached: every region begins with ""
}

// Sign returns the header of a post with its signature. Whoever posts must add nothing but a User-Agent.
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
	if err := v4.NewSigner().SignHTTP(ctx, who, req, hex.EncodeToString(sum[:]), s.Service, region, now); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return req.Header, nil
}

func (s *Signer) who(ctx context.Context) (aws.Credentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.provider == nil {
		var load []func(*config.LoadOptions) error
		if s.Endpoint != "" {
			// A server of one's own is no business of the machine's role, and asking for it costs seconds elsewhere.
			load = append(load, config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
		}
		cfg, err := config.LoadDefaultConfig(ctx, load...)
		if err != nil {
			return aws.Credentials{}, fmt.Errorf("load AWS configuration: %w", err)
		}
		s.provider = cfg.Credentials
	}
	found, err := s.provider.Retrieve(ctx)
	if err != nil && s.Endpoint != "" && ctx.Err() == nil {
		// LocalStack, SAM and servers like them take any credentials.
		return credentials.NewStaticCredentialsProvider("test", "test", "").Value, nil
	}
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("find AWS credentials: %w", err)
	}
	return found, nil
}
