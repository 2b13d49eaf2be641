package httpd_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/poolhouse/poolhouse/internal/edge/authn"
	"github.com/poolhouse/poolhouse/internal/edge/httpd"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// ownKeys open one data key, for one context.
type ownKeys struct{}

const masterKey = "arn:aws:kms:us-east-1:000000000000:key/k"

func (ownKeys) Decrypt(wrapped []byte, bound map[string]string) ([]byte, string, error) {
	if string(wrapped) != "wrapped" || bound["userpool-id"] != poolID {
		return nil, "", errors.New("it does not open")
	}
	return []byte("the data key"), masterKey, nil
}

func withKeys(s *httpd.Server) {
	s.Keys = ownKeys{}
	s.KeyVerifier = &authn.Verifier{Keys: keys{}, Now: func() time.Time { return noon }, Service: "kms"}
}

// kms is how a KMS client calls, with a signature that only looks like one.
func kms(operation, body string) call {
	return sdk("", body, "X-Amz-Target", "TrentService."+operation)
}

const decrypt = `{"CiphertextBlob":"d3JhcHBlZA==","EncryptionContext":{"userpool-id":"` + poolID + `"}}`

func TestKeyService(t *testing.T) {
	t.Parallel()
	const opened = `{"KeyId":"` + masterKey + `","Plaintext":"dGhlIGRhdGEga2V5","EncryptionAlgorithm":"SYMMETRIC_DEFAULT"}`
	for _, test := range []struct {
		name   string
		set    func(*httpd.Server)
		c      call
		status int
		body   string
	}{
		{"opens", withKeys, kms("Decrypt", decrypt), 200, opened},
		{"opens with the key's name", withKeys, kms("Decrypt", strings.TrimSuffix(decrypt, "}")+`,"KeyId":"`+masterKey+`","EncryptionAlgorithm":"SYMMETRIC_DEFAULT","GrantTokens":[]}`), 200, opened},
		{"another key's name", withKeys, kms("Decrypt", strings.TrimSuffix(decrypt, "}")+`,"KeyId":"other"}`), 400,
			`{"__type":"IncorrectKeyException","message":"The key ID in the request does not identify a CMK that can perform this operation."}`},
		{"another algorithm", withKeys, kms("Decrypt", strings.TrimSuffix(decrypt, "}")+`,"EncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`), 400,
			`{"__type":"InvalidKeyUsageException","message":"The key is not for this algorithm."}`},
		{"another context", withKeys, kms("Decrypt", `{"CiphertextBlob":"d3JhcHBlZA=="}`), 400, `{"__type":"InvalidCiphertextException"}`},
		{"another key", withKeys, kms("Decrypt", `{"CiphertextBlob":"d3JhcHBl","EncryptionContext":{"userpool-id":"`+poolID+`"}}`), 400, `{"__type":"InvalidCiphertextException"}`},
		{"no JSON", withKeys, kms("Decrypt", `{`), 400, `{"__type":"SerializationException"}`},
		{"another operation", withKeys, kms("GenerateDataKey", decrypt), 400, `{"__type":"UnknownOperationException"}`},
		{"no key service", func(*httpd.Server) {}, kms("Decrypt", decrypt), 400, `{"__type":"UnknownOperationException"}`},
		{"no credentials", withKeys, kms("Decrypt", decrypt).without("Authorization"), 400, `{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}`},
		{"a page of another origin", withKeys, kms("Decrypt", decrypt).with("Origin", "https://evil.example"), 400,
			`{"__type":"AccessDeniedException","message":"This operation cannot be called from a web page of another origin."}`},
		{"too large", withKeys, kms("Decrypt", `"`+strings.Repeat("x", 1<<20)+`"`), 413, `{"__type":"RequestEntityTooLargeException","message":"The request is larger than 1048576 bytes."}`},
		{"a signature that is none", func(s *httpd.Server) { withKeys(s); verifying(s) }, kms("Decrypt", decrypt), 400, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(test.set)
			r := h.send(t, test.c)
			body := text(t, r)
			want.Equal(t, r.StatusCode, test.status)
			if test.body != "" {
				want.Equal(t, body, test.body)
			} else {
				want.True(t, !strings.Contains(body, "Plaintext"), "nothing is opened: %s", body)
			}
			want.True(t, !strings.Contains(h.log.String(), "dGhlIGRhdGEga2V5") && !strings.Contains(h.log.String(), "the data key"), "no key in the log")
			want.Equal(t, h.ops.names(), nil)
		})
	}
}

// TestKeyServiceVerifies has a server that checks signatures: by the operator's keys, for the service kms, and within their limits.
func TestKeyServiceVerifies(t *testing.T) {
	t.Parallel()
	sign := func(c call, key, service string) call {
		c = c.without("Authorization")
		r := c.request(t.Context())
		sum := sha256.Sum256([]byte(c.body))
		want.NoError(t, v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: key, SecretAccessKey: keySecret}, r, hex.EncodeToString(sum[:]), service, "eu-west-1", noon))
		for name := range r.Header {
			c.header[name] = r.Header.Get(name)
		}
		return c
	}
	h := newHouse(withKeys, verifying)
	for _, test := range []struct {
		name   string
		c      call
		status int
		code   string
	}{
		{"the operator's key", sign(kms("Decrypt", decrypt), keyID, "kms"), 200, ""},
		{"signed for another service", sign(kms("Decrypt", decrypt), keyID, "cognito-idp"), 400, "InvalidSignatureException:"},
		{"an unknown key", sign(kms("Decrypt", decrypt), "AKIANOBODY", "kms"), 400, "UnrecognizedClientException:"},
		{"a key for other actions", sign(kms("Decrypt", decrypt), readerID, "kms"), 400, "AccessDeniedException:"},
	} {
		r := h.send(t, test.c)
		if r.StatusCode != test.status || r.Header.Get("X-Amzn-Errortype") != test.code {
			t.Errorf("%s: %d %s; want %d %s", test.name, r.StatusCode, r.Header.Get("X-Amzn-Errortype"), test.status, test.code)
		}
	}
}
