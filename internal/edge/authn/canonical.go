package authn

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// scratch is the memory that one verification needs.
type scratch struct {
	buf     []byte
	payload [2 * sha256.Size]byte // hash of the body in hex
	sum     [sha256.Size]byte
}

// matches reports whether the signature is that of the request under the key's secret. The signing key of a match is kept for the next one.
func (v *Verifier) matches(r *Request, q url.Values, c *claims, key Key) bool {
	if len(c.signature) != 2*sha256.Size {
		return false
	}
	s, ok := v.scratches.Get().(*scratch)
	if !ok {
		s = new(scratch)
	}
	defer v.scratches.Put(s)

	hash := sha256.Sum256(r.Body)
	hex.Encode(s.payload[:], hash[:])
	if !agrees(r.Header["X-Amz-Content-Sha256"], s.payload[:]) || !agrees(q["X-Amz-Content-Sha256"], s.payload[:]) {
		return false
	}
	sg, cached := v.signers.find(key.Secret, c.keyID, c.day, c.region)
	if !cached {
		sg = newSigner(key.Secret, c.day, c.region, v.service())
	}
	match := s.signs(sg, r, q, c, r.Path)
	if !match {
		if path := normalizedPath(r.Path); path != r.Path {
			match = s.signs(sg, r, q, c, path)
		}
	}
	if match && !cached {
		v.signers.keep(sg, c.keyID, c.day, c.region)
	}
	return match
}

// agrees reports whether a stated hash of the body, if there is one, is the hash of the body.
func agrees(stated []string, payload []byte) bool {
	return len(stated) == 0 || len(stated) == 1 && stated[0] == string(payload)
}

// signs compares the claimed signature with the right one, in constant time.
func (s *scratch) signs(sg *signer, r *Request, q url.Values, c *claims, path string) bool {
	b, ok := s.appendCanonical(s.buf[:0], r, q, c, path)
	s.buf = b
	if !ok {
		return false
	}
	hash := sha256.Sum256(b)

	b = append(b[:0], algorithm...)
	b = append(b, '\n')
	b = append(b, c.stamp...)
	b = append(b, '\n')
	b = append(b, c.scope...)
	b = append(b, '\n')
	b = hex.AppendEncode(b, hash[:])
	s.buf = b
	sg.sum(&s.sum, b)

	var want, got [2 * sha256.Size]byte
	hex.Encode(want[:], s.sum[:])
	copy(got[:], c.signature) // of this very length
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// appendCanonical writes the canonical request. It is false when a signed header is missing.
func (s *scratch) appendCanonical(b []byte, r *Request, q url.Values, c *claims, path string) ([]byte, bool) {
	b = append(b, r.Method...)
	b = append(b, '\n')
	b = appendPath(b, path)
	b = append(b, '\n')
	b = appendQuery(b, q, c.presigned)
	b = append(b, '\n')
	for name := range strings.SplitSeq(c.signedHeaders, ";") {
		b = append(b, name...)
		b = append(b, ':')
		values := lookup(r.Header, name)
		switch {
		case name == "host":
			b = appendHeaderValue(b, r.Host)
		case len(values) > 0:
			for i, value := range values {
				if i > 0 {
					b = append(b, ',')
				}
				b = appendHeaderValue(b, value)
			}
		case name == "content-length": // HTTP/2 and proxies may leave it out
			b = strconv.AppendInt(b, int64(len(r.Body)), 10)
		default:
			return b, false
		}
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = append(b, c.signedHeaders...)
	b = append(b, '\n')
	return append(b, s.payload[:]...), true
}

// lookup is h.Values(name) for a lower-case name, without the garbage.
func lookup(h http.Header, name string) []string {
	var buf [64]byte
	if len(name) > len(buf) {
		return h.Values(name)
	}
	upper := true
	for i := range len(name) {
		b := name[i]
		if upper && 'a' <= b && b <= 'z' {
			b -= 'a' - 'A'
		}
		buf[i] = b
		upper = b == '-'
	}
	return h[string(buf[:len(name)])]
}

// appendHeaderValue trims the value and makes runs of spaces one.
func appendHeaderValue(b []byte, value string) []byte {
	value = strings.TrimSpace(value)
	for {
		i := strings.Index(value, "  ")
		if i < 0 {
			return append(b, value...)
		}
		b = append(b, value[:i+1]...)
		value = strings.TrimLeft(value[i:], " ")
	}
}

// appendPath escapes the path, which is escaped already: signers of all services but S3 do it twice.
func appendPath(b []byte, path string) []byte {
	if path == "" {
		path = "/"
	}
	return appendEscaped(b, path, true)
}

// normalizedPath removes empty and dot segments, as most signers do before they sign. Escaped dots are left alone.
func normalizedPath(path string) string {
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return path
	}
	var kept []string
	for segment := range strings.SplitSeq(path, "/") {
		switch segment {
		case "", ".":
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		default:
			kept = append(kept, segment)
		}
	}
	normal := "/" + strings.Join(kept, "/")
	if len(kept) > 0 && strings.HasSuffix(path, "/") {
		normal += "/"
	}
	return normal
}

// appendQuery writes the parameters sorted by escaped name, then by escaped value. A presigned request's signature is not part of what it signs.
func appendQuery(b []byte, q url.Values, presigned bool) []byte {
	if len(q) == 0 {
		return b
	}
	var params [][2]string
	for name, values := range q {
		if presigned && name == "X-Amz-Signature" {
			continue
		}
		name = string(appendEscaped(nil, name, false))
		for _, value := range values {
			params = append(params, [2]string{name, string(appendEscaped(nil, value, false))})
		}
	}
	slices.SortFunc(params, func(x, y [2]string) int { return slices.Compare(x[:], y[:]) })
	for i, param := range params {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, param[0]...)
		b = append(b, '=')
		b = append(b, param[1]...)
	}
	return b
}

// appendEscaped writes s with every byte but the unreserved ones of RFC 3986, and the slash where it is kept, as %XX.
func appendEscaped(b []byte, s string, keepSlash bool) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~', c == '/' && keepSlash:
			b = append(b, c)
		default:
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}
