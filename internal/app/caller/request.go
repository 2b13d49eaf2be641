package caller

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"sync/atomic"

	"github.com/poolhouse/poolhouse/internal/kit/clock"
)

// Credentials sign requests. Without a secret the requests carry a signature that parses and proves nothing, which a server in
// dev mode takes.
type Credentials struct {
	ID, Secret string
	Session    string // of temporary credentials; empty: they are not
	Region     string
}

// A Maker makes the bytes of signed requests. It may be used by many goroutines.
type Maker struct {
	Host string
	Credentials
	present atomic.Pointer[stamp]
}

// stamp is what the signatures of one second share.
type stamp struct {
	second int64
	date   string // 20260102T150405Z
	scope  string
	key    []byte
}

func (m *Maker) stamp() *stamp {
	now := clock.Machine().UTC()
	s := m.present.Load()
	if s != nil && s.second == now.Unix() {
		return s
	}
	day := now.Format("20060102")
	key := []byte("AWS4" + m.Secret)
	for _, part := range []string{day, m.Region, "cognito-idp", "aws4_request"} {
		key = mac(key, part)
	}
	s = &stamp{now.Unix(), now.Format("20060102T150405Z"), day + "/" + m.Region + "/cognito-idp/aws4_request", key}
	m.present.Store(s)
	return s
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// The headers that are signed, without and with a session.
const (
	signed        = "content-type;host;x-amz-date;x-amz-target"
	signedSession = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
)

// Append adds a whole request to the buffer.
func (m *Maker) Append(to []byte, operation string, body []byte) []byte {
	s := m.stamp()
	to = append(to, "POST / HTTP/1.1\r\nHost: "...)
	to = append(to, m.Host...)
	to = append(to, "\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: AWSCognitoIdentityProviderService."...)
	to = append(to, operation...)
	to = append(to, "\r\nX-Amz-Date: "...)
	to = append(to, s.date...)
	headers := signed
	if m.Session != "" {
		headers = signedSession
		to = append(to, "\r\nX-Amz-Security-Token: "...)
		to = append(to, m.Session...)
	}
	to = append(to, "\r\nAuthorization: AWS4-HMAC-SHA256 Credential="...)
	to = append(to, m.ID...)
	to = append(to, '/')
	to = append(to, s.scope...)
	to = append(to, ", SignedHeaders="...)
	to = append(to, headers...)
	to = append(to, ", Signature="...)
	to = m.sign(to, s, operation, headers, body)
	to = append(to, "\r\nContent-Length: "...)
	to = strconv.AppendInt(to, int64(len(body)), 10)
	to = append(to, "\r\n\r\n"...)
	return append(to, body...)
}

// noSignature has the form of a signature.
const noSignature = "0000000000000000000000000000000000000000000000000000000000000000"

func (m *Maker) sign(to []byte, s *stamp, operation, headers string, body []byte) []byte {
	if m.Secret == "" {
		return append(to, noSignature...)
	}
	payload := sha256.Sum256(body)
	canonical := make([]byte, 0, 512)
	canonical = append(canonical, "POST\n/\n\ncontent-type:application/x-amz-json-1.1\nhost:"...)
	canonical = append(canonical, m.Host...)
	canonical = append(canonical, "\nx-amz-date:"...)
	canonical = append(canonical, s.date...)
	if m.Session != "" {
		canonical = append(canonical, "\nx-amz-security-token:"...)
		canonical = append(canonical, m.Session...)
	}
	canonical = append(canonical, "\nx-amz-target:AWSCognitoIdentityProviderService."...)
	canonical = append(canonical, operation...)
	canonical = append(canonical, "\n\n"...)
	canonical = append(canonical, headers...)
	canonical = append(canonical, '\n')
	canonical = hex.AppendEncode(canonical, payload[:])
	hash := sha256.Sum256(canonical)
	return hex.AppendEncode(to, mac(s.key, "AWS4-HMAC-SHA256\n"+s.date+"\n"+s.scope+"\n"+hex.EncodeToString(hash[:])))
}
