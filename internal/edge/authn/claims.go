package authn

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"

	skew       = 5 * time.Minute
	maxExpires = 7 * 24 * time.Hour

	maxAuthorization = 8 << 10
	maxQuery         = 16 << 10
	maxSignedHeaders = 100
)

// claims are the parts of a signature as the caller wrote them.
type claims struct {
	presigned     bool
	algorithm     string
	credential    string // key id and scope
	signedHeaders string
	signature     string
	date          string // X-Amz-Date, or the Date header as it stands
	life          time.Duration

	// Set by splitCredential.
	keyID, scope, day, region, service, terminator string
	// Set by checkTime: the date in timeFormat.
	stamp string
}

// readClaims finds the signature in the Authorization header or in the query. All parts are present on return, the date only if it is needed.
func readClaims(r *Request, q url.Values, needDate bool) (claims, error) {
	header, err := authorization(r)
	if err != nil {
		return claims{}, err
	}
	_, inQuery := q["X-Amz-Algorithm"]
	switch {
	case inQuery && header != "":
		return claims{}, invalid("Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")
	case inQuery:
		return claimsOfQuery(q, needDate)
	case !strings.HasPrefix(header, "AWS4-"):
		return claims{}, missingToken() // also for other schemes, whose credentials must not be repeated in an answer
	}
	c, err := claimsOfHeader(header)
	if err != nil {
		return claims{}, err
	}
	c.date = dateOf(r.Header)
	if c.credential == "" || c.signature == "" || c.signedHeaders == "" || (needDate && c.date == "") {
		return claims{}, missingParts(&c, needDate, header)
	}
	if c.algorithm != algorithm {
		return claims{}, unsupported(c.algorithm)
	}
	return c, nil
}

// authorization returns the Authorization header, empty if there is none.
func authorization(r *Request) (string, error) {
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", incomplete("Authorization header is given more than once.")
	}
	if len(values[0]) > maxAuthorization {
		return "", incomplete("Authorization header is longer than %d bytes.", maxAuthorization)
	}
	return strings.TrimSpace(values[0]), nil
}

func unsupported(name string) error {
	return incomplete("Unsupported AWS 'algorithm': '%s' (only %s for now). ", name, algorithm)
}

// claimsOfHeader takes "AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=..." apart.
func claimsOfHeader(header string) (claims, error) {
	name, rest, _ := strings.Cut(header, " ")
	c := claims{algorithm: name, life: skew}
	rest = strings.TrimSpace(rest)
	for more := rest != ""; more; {
		var part string
		part, rest, more = strings.Cut(rest, ",")
		part = strings.TrimSpace(part)
		name, value, ok := strings.Cut(part, "=")
		if !ok || strings.ContainsAny(part, " \t") {
			return claims{}, incomplete("'%s' not a valid key=value pair (missing equal-sign) in Authorization header: '%s'.", part, header)
		}
		var field *string
		switch name {
		case "Credential":
			field = &c.credential
		case "SignedHeaders":
			field = &c.signedHeaders
		case "Signature":
			field = &c.signature
		default:
			return claims{}, incomplete("Authorization header has an unknown parameter '%s'. Authorization=%s", name, header)
		}
		if *field != "" {
			return claims{}, incomplete("Authorization header has more than one '%s' parameter. Authorization=%s", name, header)
		}
		*field = value
	}
	return c, nil
}

// claimsOfQuery reads a presigned request.
func claimsOfQuery(q url.Values, needDate bool) (claims, error) {
	c := claims{presigned: true, life: skew}
	var missing strings.Builder
	for _, param := range []struct {
		name  string
		field *string
	}{
		{"X-Amz-Algorithm", &c.algorithm},
		{"X-Amz-Credential", &c.credential},
		{"X-Amz-Signature", &c.signature},
		{"X-Amz-SignedHeaders", &c.signedHeaders},
		{"X-Amz-Date", &c.date},
	} {
		if len(q[param.name]) > 1 {
			return claims{}, incomplete("AWS query-string parameters include '%s' more than once. Re-examine the query-string parameters.", param.name)
		}
		*param.field = q.Get(param.name)
		if *param.field == "" && (needDate || param.name != "X-Amz-Date") {
			missing.WriteString("AWS query-string parameters must include '" + param.name + "'. ")
		}
	}
	if missing.Len() > 0 {
		return claims{}, incomplete("%sRe-examine the query-string parameters.", missing.String())
	}
	if c.algorithm != algorithm {
		return claims{}, unsupported(c.algorithm)
	}
	if expires := q["X-Amz-Expires"]; len(expires) > 0 && needDate {
		seconds, err := strconv.ParseUint(strings.Join(expires, ","), 10, 32)
		c.life = time.Duration(seconds) * time.Second
		if err != nil || c.life < time.Second || c.life > maxExpires {
			return claims{}, invalid("X-Amz-Expires must be a number of seconds between 1 and %d.", int(maxExpires.Seconds()))
		}
	}
	return c, nil
}

// dateOf returns the date that is signed. Several dates come back as one that does not parse.
func dateOf(h http.Header) string {
	values := h["X-Amz-Date"]
	if len(values) == 0 {
		values = h["Date"]
	}
	return strings.Join(values, ",")
}

// checkTime accepts dates from the claims' life before now to five minutes after, both inclusive.
func (c *claims) checkTime(now time.Time) error {
	t, err := time.Parse(timeFormat, c.date)
	if err == nil && len(c.date) == len(timeFormat) { // Parse would take a fraction of a second too
		c.stamp = c.date
	} else {
		if t, err = parseDateHeader(c.date); err != nil || c.presigned {
			return incomplete("Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", c.date)
		}
		c.stamp = stamp(t)
	}
	if t.Before(now.Add(-c.life)) {
		return signatureExpired(t, now, c.life)
	}
	if t.After(now.Add(skew)) {
		return signatureEarly(t, now)
	}
	return nil
}

// parseDateHeader reads the forms in which signers write the Date header.
func parseDateHeader(s string) (time.Time, error) {
	t, err := http.ParseTime(s)
	if err != nil {
		t, err = time.Parse(time.RFC1123Z, s)
	}
	return t, err
}

// checkSignedHeaders looks at the names only; values are part of the canonical request.
func (c *claims) checkSignedHeaders(r *Request, q url.Values) error {
	var host, date, target bool
	previous, count := "", 0
	for name := range strings.SplitSeq(c.signedHeaders, ";") {
		count++
		if name <= previous || count > maxSignedHeaders || !lowerToken(name) {
			return mismatch()
		}
		previous = name
		switch name {
		case "host":
			host = true
		case "x-amz-date":
			date = true
		case "x-amz-target":
			target = true
		}
	}
	if !host {
		return notSigned("Host' or ':authority")
	}
	if !date && !c.presigned && len(r.Header["X-Amz-Date"]) > 0 {
		return notSigned("X-Amz-Date")
	}
	if values := r.Header["X-Amz-Target"]; !target && len(values) > 0 && !(c.presigned && slices.Equal(values, q["X-Amz-Target"])) {
		return notSigned("X-Amz-Target")
	}
	return nil
}

func notSigned(name string) error {
	return invalid("'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
}

// lowerToken reports whether s is a header name in lower case.
func lowerToken(s string) bool {
	for i := range len(s) {
		b := s[i]
		if !('a' <= b && b <= 'z' || '0' <= b && b <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0) {
			return false
		}
	}
	return s != ""
}

// splitCredential takes keyid/date/region/service/term apart.
func (c *claims) splitCredential() error {
	var ok [4]bool
	var rest string
	c.keyID, c.scope, ok[0] = strings.Cut(c.credential, "/")
	c.day, rest, ok[1] = strings.Cut(c.scope, "/")
	c.region, rest, ok[2] = strings.Cut(rest, "/")
	c.service, c.terminator, ok[3] = strings.Cut(rest, "/")
	if ok != [4]bool{true, true, true, true} || strings.Contains(c.terminator, "/") || c.keyID == "" {
		return incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", c.credential)
	}
	return nil
}

// checkScope compares the scope with what it must be and names every part that is wrong.
func (v *Verifier) checkScope(c *claims, host string) error {
	var b strings.Builder
	service := v.service()
	if !v.validRegion(c.region, host) {
		b.WriteString("Credential should be scoped to a valid region. ")
	}
	if c.service != service {
		b.WriteString("Credential should be scoped to correct service: '" + service + "'. ")
	}
	if c.terminator != terminator {
		b.WriteString("Credential should be scoped with a valid terminator: '" + terminator + "', not '" + c.terminator + "'. ")
	}
	if day := c.stamp[:8]; c.day != day {
		b.WriteString("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '" + c.day + "' != '" + day + "', from '" + c.stamp + "'.")
	}
	if b.Len() > 0 {
		return &Error{CodeInvalidSignature, b.String()}
	}
	return nil
}

// validRegion accepts the configured regions and, where the host is the service's own name, only the region in it.
func (v *Verifier) validRegion(region, host string) bool {
	if !possibleRegion(region) || len(v.Regions) > 0 && !slices.Contains(v.Regions, region) {
		return false
	}
	rest, ok := strings.CutPrefix(host, v.service()+".")
	if !ok {
		return true
	}
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		rest = rest[:i]
	}
	named, ok := strings.CutSuffix(rest, ".amazonaws.com")
	return !ok || named == region
}

// possibleRegion accepts anything that is safe to use as the prefix of an identifier: lower-case letters, digits and hyphens, at most 32, a letter first.
func possibleRegion(s string) bool {
	for i := range len(s) {
		b := s[i]
		if !('a' <= b && b <= 'z' || i > 0 && ('0' <= b && b <= '9' || b == '-')) {
			return false
		}
	}
	return s != "" && len(s) <= 32
}
