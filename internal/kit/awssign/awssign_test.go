package awssign

import (
	"net/http"
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
	s := Signer{}
	for from, region := range map[string]string{arn: "eu-west-1", "alias/x": "us-east-1", "": "us-east-1", "arn:aws:kms::1:x": "us-east-1"} {
		want.Equal(t, s.RegionOf(from), region)
	}
	s.Region = "cn-north-1"
	want.Equal(t, s.RegionOf(arn), "cn-north-1")
}

func TestAddress(t *testing.T) {
	s := Signer{Service: "lambda"}
	for region, address := range map[string]string{
		"eu-west-1": "https://lambda.eu-west-1.amazonaws.com", "us-gov-west-1": "https://lambda.us-gov-west-1.amazonaws.com",
		"cn-north-1": "https://lambda.cn-north-1.amazonaws.com.cn", "us-iso-east-1": "https://lambda.us-iso-east-1.c2s.ic.gov",
		"us-isob-east-1": "https://lambda.us-isob-east-1.sc2s.sgov.gov", "eusc-de-east-1": "https://lambda.eusc-de-east-1.amazonaws.eu",
	} {
		want.Equal(t, s.Address(region), address)
	}
	s.Endpoint = "http://127.0.0.1:4566/"
	want.Equal(t, s.Address("eu-west-1"), "http://127.0.0.1:4566")
}

func TestSign(t *testing.T) {
	settings(t, "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
	s := Signer{Service: "kms"}
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
	aws := Signer{Service: "kms"}
	_, err := aws.Sign(t.Context(), "https://kms.eu-west-1.amazonaws.com", "eu-west-1", http.Header{}, nil, time.Unix(1753900000, 0))
	want.True(t, err != nil && strings.Contains(err.Error(), "find AWS credentials"), "AWS wants credentials: %v", err)
	own := Signer{Service: "kms", Endpoint: "http://127.0.0.1:4566"}
	header, err := own.Sign(t.Context(), own.Endpoint, "eu-west-1", http.Header{}, nil, time.Unix(1753900000, 0))
	want.NoError(t, err)
	want.Contains(t, header.Get("Authorization"), "Credential=test/")
	_, err = own.Sign(t.Context(), "http://127.0.0.1:x", "eu-west-1", http.Header{}, nil, time.Unix(1753900000, 0))
	want.True(t, err != nil, "an address that is no URL")
}
