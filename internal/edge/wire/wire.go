// Package wire knows the bytes of both dialects: which dialect a request speaks, which operation it names, how a
// body becomes an operation's input, and how an output or a fault becomes a body again. All of it is driven by the
// tables of package api; no operation has code here.
//
// It sees no sockets and no HTTP types (that is httpd, next door), proves nobody's identity (authn), and decides
// nothing about users or pools.
package wire

import (
	"net/url"
	"strings"
)

// Dialect is one of the two ways to speak to the server.
type Dialect uint8

const (
	// AWS is what the vendor's SDKs speak: members at the top of the body, __type in errors.
	AWS Dialect = iota
	// Plain is for people and scripts: every answer is an envelope with success and data or error.
	Plain
)

// String is the word for logs and metrics.
func (d Dialect) String() string { return [...]string{"aws", "plain"}[d] }

// The content types of bodies. An answer has that of its request.
const (
	typeAWS10 = "application/x-amz-json-1.0"
	typeAWS11 = "application/x-amz-json-1.1"
	typePlain = "application/json"
)

// DialectOf reads the Content-Type of a request. It returns the content type of the answer, and false for any type
// that is not ours, the ones that a web page can send without asking first among them. Parameters are ignored.
func DialectOf(contentType string) (d Dialect, answer string, ok bool) {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.TrimSpace(media)
	switch {
	case strings.EqualFold(media, typeAWS11):
		return AWS, typeAWS11, true
	case strings.EqualFold(media, typePlain):
		return Plain, typePlain, true
	case strings.EqualFold(media, typeAWS10):
		return AWS, typeAWS10, true
	}
	return AWS, "", false
}

const (
	targetPrefix = "AWSCognitoIdentityProviderService."
	pathPrefix   = "/" + targetPrefix
	// hashPrefix begins the path of the documented address when a client escapes its # instead of dropping what follows.
	hashPrefix = "/#X-Amz-Target=" + targetPrefix
)

// Implied is the operation of a plain request that names none: its documented address names it behind a #, which
// clients do not send.
const Implied = "AdminUpdateUserAttributes"

// KnownPath reports whether requests may be sent to the path, which is unescaped.
func KnownPath(path string) bool {
	return path == "/" || strings.HasPrefix(path, pathPrefix) || strings.HasPrefix(path, hashPrefix)
}

// Name finds the operation that a request names: by the X-Amz-Target header, and in the plain dialect by the query
// or by the path as well, in this order. The path is unescaped. What names an operation in a way that cannot be
// understood names "", which no operation is called; named is false when there is no name at all.
func Name(d Dialect, target []string, path, rawQuery string) (operation string, named bool) {
	if len(target) > 0 {
		if len(target) > 1 {
			return "", true
		}
		return cutTarget(target[0]), true
	}
	if d != Plain {
		return "", false
	}
	if rawQuery != "" {
		query, err := url.ParseQuery(rawQuery)
		switch {
		case err != nil:
			return "", true // the part that could not be read may have been the name
		case query.Has("X-Amz-Target"):
			return cutTarget(query.Get("X-Amz-Target")), true
		case query.Has("Action"):
			return query.Get("Action"), true
		}
	}
	if name, ok := strings.CutPrefix(path, pathPrefix); ok {
		return name, true
	}
	if name, ok := strings.CutPrefix(path, hashPrefix); ok {
		return name, true
	}
	return "", false
}

// cutTarget takes the operation out of a target; "" when it is for another service.
func cutTarget(target string) string {
	name, ok := strings.CutPrefix(target, targetPrefix)
	if !ok {
		return ""
	}
	return name
}
