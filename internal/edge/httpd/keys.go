package httpd

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/poolhouse/poolhouse/internal/edge/authn"
	"github.com/poolhouse/poolhouse/internal/edge/wire"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// KeyService opens the data keys that this server has made for custom senders: their receivers decrypt a code through a KMS client,
// which they point here. Any error of Decrypt means that the key does not open.
type KeyService interface {
	Decrypt(wrapped []byte, bound map[string]string) (plain []byte, keyARN string, err error)
}

// keyTarget starts the X-Amz-Target of requests to a key service.
const keyTarget = "TrentService."

// forKeys reports whether the request is for the key service.
func (x *exchange) forKeys() bool {
	target := x.r.Header["X-Amz-Target"]
	return x.Keys != nil && x.dialect == wire.AWS && len(target) == 1 && strings.HasPrefix(target[0], keyTarget)
}

type decryptInput struct {
	CiphertextBlob      []byte
	EncryptionContext   map[string]string
	KeyID               string `json:"KeyId"`
	EncryptionAlgorithm string
}

type decryptOutput struct {
	KeyID               string `json:"KeyId"`
	Plaintext           []byte
	EncryptionAlgorithm string
}

// symmetric is the one algorithm of keys that are no key pairs.
const symmetric = "SYMMETRIC_DEFAULT"

// keys answers a request to the key service, of whose operations there is Decrypt.
func (x *exchange) keys() {
	switch {
	case x.origin == foreign:
		x.fault(http.StatusBadRequest, fault.CrossOrigin())
		return
	case x.r.Header.Get("X-Amz-Target") != keyTarget+"Decrypt":
		x.fault(http.StatusBadRequest, fault.UnknownOperation())
		return
	case !x.read():
		return
	}
	defer x.release()
	out, err := x.decrypt(x.r.Context())
	if err != nil {
		f, ok := errors.AsType[*fault.Error](err)
		if !ok {
			f, x.cause = fault.Internal(x.id), err
		}
		x.fault(statusOf(f), f)
		return
	}
	x.write(http.StatusOK, out)
}

// decrypt proves the caller and opens the key. A caller whose key is for some pools opens the keys of their messages alone, by
// what the encryption context says, which cannot be changed.
func (x *exchange) decrypt(ctx context.Context) ([]byte, error) {
	request := authn.FromHTTP(x.r, x.buf.in)
	check := func() (authn.Result, error) { return x.Verifier.Inspect(request) }
	if x.Verify {
		verifier := x.KeyVerifier
		check = func() (authn.Result, error) { return verifier.Verify(ctx, request) }
	}
	caller, err := check()
	if e, ok := errors.AsType[*authn.Error](err); ok {
		return nil, fault.Signature(fault.Code(e.Code), e.Message)
	}
	if err != nil {
		return nil, err
	}
	x.caller = caller.Key.ID
	var in decryptInput
	if err := json.Unmarshal(x.buf.in, &in); err != nil {
		return nil, fault.Malformed().Because(err)
	}
	if !caller.Key.AllowsIn("kms", "Decrypt") || !caller.Key.AllowsPool(in.EncryptionContext["userpool-id"]) {
		return nil, fault.KeyService("AccessDeniedException", "The caller may not decrypt with this key.")
	}
	if in.EncryptionAlgorithm != "" && in.EncryptionAlgorithm != symmetric {
		return nil, fault.KeyService("InvalidKeyUsageException", "The key is not for this algorithm.")
	}
	plain, keyARN, err := x.Keys.Decrypt(in.CiphertextBlob, in.EncryptionContext)
	if err != nil {
		return nil, fault.KeyService("InvalidCiphertextException", "").Because(err)
	}
	if in.KeyID != "" && in.KeyID != keyARN {
		return nil, fault.KeyService("IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
	}
	return json.Marshal(decryptOutput{keyARN, plain, symmetric})
}
