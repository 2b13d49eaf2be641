package authn

import (
	"fmt"
	"strings"
	"time"
)

// The exceptions that an Error names.
const (
	CodeMissingToken        = "MissingAuthenticationTokenException"
	CodeIncompleteSignature = "IncompleteSignatureException"
	CodeUnrecognizedClient  = "UnrecognizedClientException"
	CodeInvalidSignature    = "InvalidSignatureException"
	CodeExpiredToken        = "ExpiredTokenException"
)

// Error is a refusal that the caller may read. Code is the exception, one of the Code constants.
type Error struct {
	Code    string
	Message string
}

// Error returns code and text.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

func missingToken() error {
	return &Error{CodeMissingToken, "Missing Authentication Token"}
}

func unrecognizedClient() error {
	return &Error{CodeUnrecognizedClient, "The security token included in the request is invalid."}
}

func expiredToken() error {
	return &Error{CodeExpiredToken, "The security token included in the request is expired"}
}

func mismatch() error {
	return &Error{CodeInvalidSignature, "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."}
}

func incomplete(format string, args ...any) error {
	return &Error{CodeIncompleteSignature, fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) error {
	return &Error{CodeInvalidSignature, fmt.Sprintf(format, args...)}
}

func signatureExpired(t, now time.Time, life time.Duration) error {
	return invalid("Signature expired: %s is now earlier than %s (%s - %s)", stamp(t), stamp(now.Add(-life)), stamp(now), span(life))
}

func signatureEarly(t, now time.Time) error {
	return invalid("Signature not yet current: %s is still later than %s (%s + %s)", stamp(t), stamp(now.Add(skew)), stamp(now), span(skew))
}

func stamp(t time.Time) string { return t.UTC().Format(timeFormat) }

func span(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d min.", d/time.Minute)
	}
	return fmt.Sprintf("%d sec.", d/time.Second)
}

// missingParts lists what the Authorization header lacks, in the order in which the service names it, and repeats the header.
func missingParts(c *claims, needDate bool, header string) error {
	var b strings.Builder
	for _, part := range []struct{ name, value string }{{"Credential", c.credential}, {"Signature", c.signature}, {"SignedHeaders", c.signedHeaders}} {
		if part.value == "" {
			fmt.Fprintf(&b, "Authorization header requires '%s' parameter. ", part.name)
		}
	}
	if needDate && c.date == "" {
		b.WriteString("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
	}
	return incomplete("%sAuthorization=%s", b.String(), header)
}
