package awssign

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const arn = "arn:aws:kms:eu-west-1:123456789012:key/1"

// settings replaces the machine's own AWS settings.
func settings(t *testing.T, id, secret string) {
	for _, name := range []string{"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_WEB_IDENTITY_TOKEN_FILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_ACCESS_KEY_ID", id)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
}

func TestRegion(t *testing.T) {
	s := New("kms", "", "")
	for from, region := range map[string]string{arn: "eu-west-1", "alias/x": "us-east-1", "": "us-east-1", "arn:aws:kms::1:x": "us-east-1"} {
		want.Equal(t, s.RegionOf(from), region)
	}
	want.Equal(t, New("kms", "", "cn-north-1").RegionOf(arn), "cn-north-1")
}

func TestAddress(t *testing.T) {
	s := New("lambda", "", "")
	for region, address := range map[string]string{
		"eu-west-1": "https://lambda.eu-west-1.amazonaws.com", "us-gov-west-1": "https://lambda.us-gov-west-1.amazonaws.com",
		"cn-north-1": "https://lambda.cn-north-1.amazonaws.com.cn", "us-iso-east-1": "https://lambda.us-iso-east-1.c2s.ic.gov",
		"us-isob-east-1": "https://lambda.us-isob-east-1.sc2s.sgov.gov", "eusc-de-east-1": "https://lambda.eusc-de-east-1.amazonaws.eu",
	} {
		want.Equal(t, s.Address(region), address)
	}
	want.Equal(t, New("lambda", "http://127.0.0.1:4566/", "").Address("eu-west-1"), "http://127.0.0.1:4566")
}

func TestSign(t *testing.T) {
	settings(t, "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
	s := New("kms", "", "")
	given := http.Header{"X-Amz-Target": {"TrentService.GenerateDataKey"}}
	sign := func(address, body string) string {
		header, err := s.Sign(t.Context(), address, "eu-west-1", given, []byte(body), time.Unix(1753900000, 0))
		want.NoError(t, err)
		return header.Get("Authorization")
	}
	signed := sign("https://kms.eu-west-1.amazonaws.com", "{}")
	want.Contains(t, signed, "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20250730/eu-west-1/kms/aws4_request")
	want.Contains(t, signed, "host;x-amz-date;x-amz-target")
	want.Equal(t, len(given), 1)
	want.Equal(t, signed, sign("https://kms.eu-west-1.amazonaws.com", "{}"))
	want.True(t, signed != sign("https://kms.eu-west-1.amazonaws.com", "[]"), "the body is signed")
	want.True(t, signed != sign("https://kms.eu-west-1.amazonaws.com/x", "{}"), "the address is signed")
}

func TestCredentials(t *testing.T) {
	settings(t, "", "")
	const address = "https://kms.eu-west-1.amazonaws.com"
	sign := func(s *Signer, address string) (http.Header, error) {
		return s.Sign(t.Context(), address, "eu-west-1", http.Header{}, nil, time.Unix(1753900000, 0))
	}
	_, err := sign(New("kms", "", ""), address)
	want.True(t, err != nil && strings.Contains(err.Error(), "find AWS credentials") && !errors.Is(err, ErrSettings), "AWS wants credentials: %v", err)
	own := New("kms", "http://127.0.0.1:4566", "")
	header, err := sign(own, own.Address("eu-west-1"))
	want.NoError(t, err)
	want.Contains(t, header.Get("Authorization"), "Credential=test/")
	_, err = sign(own, "http://127.0.0.1:x")
	want.True(t, err != nil, "an address that is no URL")

	t.Setenv("AWS_PROFILE", "nobody-has-it")
	s := New("kms", "", "")
	_, err = sign(s, address)
	want.Error(t, err, ErrSettings)
	t.Setenv("AWS_PROFILE", "")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	header, err = sign(s, address)
	want.NoError(t, err) // what was wrong has been set right
	want.Contains(t, header.Get("Authorization"), "Credential=AKIDEXAMPLE/")
}

// TestSlowCredentials asks for a signature while another caller waits for credentials: who gives up first does not wait for the other.
func TestSlowCredentials(t *testing.T) {
	settings(t, "", "")
	asked := make(chan struct{}, 8)
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-t.Context().Done()
	}))
	t.Cleanup(slow.Close)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", slow.URL)
	s := New("kms", "", "")
	sign := func(ctx context.Context) error {
		_, err := s.Sign(ctx, "https://kms.eu-west-1.amazonaws.com", "eu-west-1", http.Header{}, nil, time.Unix(1753900000, 0))
		return err
	}
	patient, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sign(patient) }()
	<-asked
	hurried, cancel := context.WithCancel(t.Context())
	cancel()
	want.Error(t, sign(hurried), context.Canceled)
	select {
	case err := <-ended:
		t.Errorf("the other waits no more: %v", err)
	default:
	}
	stop()
	want.Error(t, <-ended, context.Canceled)
}
