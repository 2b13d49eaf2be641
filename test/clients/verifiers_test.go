package clients_test

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// TestVerifiers verifies tokens with aws-jwt-verify and jose while their keys rotate.
func TestVerifiers(t *testing.T) {
	t.Parallel()
	installed(t)
	verify := func(t *testing.T, s *server, env ...string) {
		t.Helper()
		c := s.client(t, "node", "--no-warnings", "js/verifiers.mjs")
		c.Env = append(c.Env, env...)
		scenarios(t, c)
	}

	// aws-jwt-verify fetches keys by TLS alone.
	t.Run("issuer of the server", func(t *testing.T) {
		t.Parallel()
		cert, key := certificate(t)
		verify(t, dev(t, "--tls-cert", cert, "--tls-key", key), "NODE_EXTRA_CA_CERTS="+cert)
	})
	t.Run("issuer of the service", func(t *testing.T) {
		t.Parallel()
		verify(t, dev(t, "--issuer", "aws"))
	})
}

// certificate returns the files of a certificate for 127.0.0.1, which is its own authority, and its key: those of package httptest.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	s.Close()
	private, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	want.NoError(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	want.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	want.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return cert, key
}
