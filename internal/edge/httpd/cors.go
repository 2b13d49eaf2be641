package httpd

import (
	"net/http"
	"strings"

	"github.com/poolhouse/poolhouse/api"
)

// preflight answers the question of a browser whether a page may send a request. A page that asks for the target
// header uses the vendor's SDK: it is answered as the service answers it, to any origin, since sign-in pages live
// anywhere; admin operations are refused to them later, on the request itself. Pages that speak the plain dialect must
// come from this machine or from a listed origin.
func (x *exchange) preflight() {
	r, h := x.r, x.w.Header()
	from, method := r.Header.Get("Origin"), r.Header.Get("Access-Control-Request-Method")
	if from == "" || method == "" {
		x.notAllowed("POST, OPTIONS")
		return
	}
	wanted, sdk, ok := requestedHeaders(r.Header["Access-Control-Request-Headers"])
	if !ok || !sdk && !x.guard.mayAsk(from) || method != http.MethodPost {
		x.refuse(http.StatusForbidden)
		return
	}
	if sdk {
		h.Set("Access-Control-Allow-Origin", "*")
	} else {
		h.Set("Access-Control-Allow-Origin", from)
		h.Set("Vary", "Origin")
	}
	h.Set("Access-Control-Allow-Methods", http.MethodPost)
	if wanted != "" {
		h.Set("Access-Control-Allow-Headers", wanted)
	}
	h.Set("Access-Control-Max-Age", "172800")
	x.refuse(http.StatusOK)
}

// requestedHeaders reads Access-Control-Request-Headers and returns it in a clean form. sdk is true when the target
// header is among them; ok is false for what no browser sends.
func requestedHeaders(lines []string) (wanted string, sdk, ok bool) {
	list := strings.Join(lines, ",")
	if len(list) > 4<<10 {
		return "", false, false
	}
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		if !isToken(name) {
			return "", false, false
		}
		sdk = sdk || strings.EqualFold(name, "x-amz-target")
		names = append(names, name)
	}
	return strings.Join(names, ","), sdk, true
}

// isToken reports whether a text can be the name of a header (RFC 9110, section 5.6.2).
func isToken(name string) bool {
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// share says which pages may read the answer: those of any origin for operations that browsers call with a token or
// nothing, those that may call them for admin operations, and none where a page was refused.
func (x *exchange) share(h http.Header) {
	switch {
	case x.spec == nil && x.origin != foreign, x.spec != nil && x.spec.Auth != api.IAM:
		h["Access-Control-Allow-Origin"] = []string{"*"}
	case x.origin == own, x.origin == allowed:
		h["Access-Control-Allow-Origin"] = x.r.Header["Origin"]
		h["Vary"] = []string{"Origin"}
	default:
		return
	}
	h["Access-Control-Expose-Headers"] = []string{"x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,Date"}
}
