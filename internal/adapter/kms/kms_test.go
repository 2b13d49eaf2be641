package kms_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/adapter/kms"
	"github.com/poolhouse/poolhouse/internal/adapter/vault"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/port/keyring"
	"github.com/poolhouse/poolhouse/internal/port/keyring/keyringtest"
)

const masterKey = "arn:aws:kms:eu-west-1:111122223333:key/11112222-3333-4444-5555-666677778888"

// TestMain keeps the machine's own AWS settings away.
func TestMain(m *testing.M) {
	for _, name := range []string{"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"} {
		_ = os.Unsetenv(name)
	}
	none := filepath.Join(os.TempDir(), "poolhouse-no-aws-settings")
	_, _ = os.Setenv("AWS_CONFIG_FILE", none), os.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	os.Exit(m.Run())
}

// service is a little KMS: its data keys are those of the built-in keyring.
type service struct {
	*httptest.Server
	keys   *vault.Keyring
	answer func(w http.ResponseWriter) // instead of a data key

	mu      sync.Mutex
	request *http.Request
	body    []byte
}

func serve(t *testing.T, answer func(http.ResponseWriter)) *service {
	t.Helper()
	kek, err := seal.NewKEK(bytes.Repeat([]byte{9}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	s := &service{keys: &vault.Keyring{Ring: seal.NewRing(kek), Random: chance.System()}, answer: answer}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	s.mu.Lock()
	s.request, s.body = r, body
	s.mu.Unlock()
	var in struct {
		KeyID             string `json:"KeyId"`
		EncryptionContext map[string]string
	}
	switch {
	case s.answer != nil:
		s.answer(w)
	case json.Unmarshal(body, &in) != nil || !strings.HasPrefix(in.KeyID, "arn:"):
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"__type":"com.amazonaws.kms#NotFoundException","message":"no such key"}`)
	default:
		k, err := s.keys.Generate(r.Context(), in.KeyID, in.EncryptionContext)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"CiphertextBlob": k.Wrapped, "Plaintext": k.Plain, "KeyId": k.KeyARN})
	}
}

func (s *service) last() (*http.Request, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.request, string(s.body)
}

func (s *service) ring() *kms.Service {
	return kms.New(kms.Options{Endpoint: s.URL, Real: clock.NewFake(time.Unix(1753900000, 0))})
}

func TestContract(t *testing.T) {
	t.Parallel()
	keyringtest.Run(t, func(t *testing.T) *keyringtest.World {
		s := serve(t, nil)
		return &keyringtest.World{Ring: s.ring(), KeyID: masterKey, Other: masterKey + "9", Unknown: "mine",
			Decrypt: func(_ context.Context, wrapped []byte, bound map[string]string) ([]byte, string, error) {
				return s.keys.Decrypt(wrapped, bound)
			}}
	})
}

func TestRequest(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	if _, err := s.ring().Generate(t.Context(), masterKey, map[string]string{"userpool-id": "p"}); err != nil {
		t.Fatal(err)
	}
	r, body := s.last()
	if want := `{"KeyId":"` + masterKey + `","KeySpec":"AES_256","EncryptionContext":{"userpool-id":"p"}}`; body != want {
		t.Errorf("body %s, want %s", body, want)
	}
	if r.Header.Get("X-Amz-Target") != "TrentService.GenerateDataKey" || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
		t.Errorf("header %v", r.Header)
	}
	auth := r.Header.Get("Authorization")
	if !strings.Contains(auth, "/eu-west-1/kms/aws4_request") || !strings.Contains(auth, "x-amz-target") {
		t.Errorf("authorization %q, want the region of the key and the target signed", auth)
	}
}

func TestRegionOfOnesOwn(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	ring := kms.New(kms.Options{Endpoint: s.URL, Region: "eu-central-1", Real: clock.System()})
	if _, err := ring.Generate(t.Context(), masterKey, nil); err != nil {
		t.Fatal(err)
	}
	if r, _ := s.last(); !strings.Contains(r.Header.Get("Authorization"), "/eu-central-1/kms/aws4_request") {
		t.Errorf("authorization %q", r.Header.Get("Authorization"))
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		status  int
		text    string
		refused bool
		says    string
	}{
		{"unknown", 400, `{"__type":"NotFoundException"}`, true, "NotFoundException"},
		{"denied", 400, `{"__type":"com.amazonaws.kms#AccessDeniedException"}`, true, "AccessDeniedException"},
		{"disabled", 400, `{"__type":"DisabledException"}`, true, "DisabledException"},
		{"throttled", 400, `{"__type":"ThrottlingException"}`, false, "ThrottlingException"},
		{"throttled by a proxy", 429, ``, false, "429 Too Many Requests"},
		{"broken", 500, `{"__type":"KMSInternalException"}`, false, "KMSInternalException"},
		{"no JSON", 403, `<html>`, true, "403 Forbidden"},
		{"another answer", 200, `{"KeyId":"k"}`, false, "no data key"},
		{"a short key", 200, `{"KeyId":"k","Plaintext":"c2VjcmV0","CiphertextBlob":"YQ=="}`, false, "no data key"},
		{"no JSON at all", 200, `secret`, false, "no data key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.text)
			})
			_, err := s.ring().Generate(t.Context(), masterKey, nil)
			if err == nil || errors.Is(err, keyring.ErrRefused) != test.refused || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "c2VjcmV0") {
				t.Errorf("got %v, want %q, refused: %v", err, test.says, test.refused)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.Close()
	if _, err := s.ring().Generate(t.Context(), masterKey, nil); err == nil || errors.Is(err, keyring.ErrRefused) || strings.Contains(err.Error(), s.URL) {
		t.Errorf("got %v, want an error that may pass", err)
	}
}
