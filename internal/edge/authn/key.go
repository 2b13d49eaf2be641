package authn

import (
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

// Key is an access key that the operator made.
type Key struct {
	ID      string
	Secret  secret.Text // zero for a bearer key
	Name    string
	Actions []string  // patterns as in IAM: "cognito-idp:AdminGetUser", "AdminGet*", "*"; all actions when empty
	Pools   []string  // pool ids or pool ARNs, which may have wildcards; all pools when empty
	Expires time.Time // zero means never
}

func (k Key) expired(now time.Time) bool {
	return !k.Expires.IsZero() && !now.Before(k.Expires)
}

// Allows reports whether the key may run the operation on the pool. The pool is empty when the request names none.
func (k Key) Allows(operation, poolID string) bool {
	return k.AllowsAction(operation) && k.AllowsPool(poolID)
}

// AllowsAction reports whether the key may run the operation on some pool. Letter case does not matter, as in IAM.
func (k Key) AllowsAction(operation string) bool { return k.AllowsIn(defaultService, operation) }

// AllowsIn is AllowsAction for an operation of another service. A pattern without service is for any.
func (k Key) AllowsIn(service, operation string) bool {
	if len(k.Actions) == 0 {
		return true
	}
	bare := strings.ToLower(operation)
	full := service + ":" + bare
	for _, pattern := range k.Actions {
		name := bare
		if strings.Contains(pattern, ":") {
			name = full
		}
		if glob(strings.ToLower(pattern), name) {
			return true
		}
	}
	return false
}

// AllowsPool reports whether the key may touch the pool, given by id or ARN. Requests that name no pool, such as CreateUserPool and ListUserPools,
// concern all of them: a key that is limited to some pools may make them only if one of its entries is "*", as IAM wants resource "*" there.
func (k Key) AllowsPool(poolID string) bool {
	if len(k.Pools) == 0 {
		return true
	}
	if _, id, ok := cutARN(poolID); ok {
		poolID = id
	}
	for _, pattern := range k.Pools {
		if pattern == "*" || poolID != "" && allowsPool(pattern, poolID) {
			return true
		}
	}
	return false
}

func allowsPool(pattern, poolID string) bool {
	region, id, isARN := cutARN(pattern)
	if !isARN {
		return !strings.HasPrefix(pattern, "arn:") && glob(pattern, poolID)
	}
	if id == poolID {
		return true
	}
	// The wildcards of an ARN stay in its region, which is the first half of a pool's id.
	prefix, _, _ := strings.Cut(poolID, "_")
	return glob(id, poolID) && glob(region, prefix)
}

// cutARN takes the region and the pool's id from "arn:aws:cognito-idp:region:account:userpool/id".
func cutARN(s string) (region, id string, ok bool) {
	parts := strings.SplitN(s, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" || parts[2] != defaultService {
		return "", "", false
	}
	id, ok = strings.CutPrefix(parts[5], "userpool/")
	return parts[3], id, ok
}

// glob matches the whole of s, where * stands for any run of characters and ? for one.
func glob(pattern, s string) bool {
	star, mark := -1, 0 // the last star, and where what it swallowed ends
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
