package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ReadAccess reads the claims of an access token whose signature is one of the pool's key. It is an error when they
// are not those of an access token of this pool: the issuer must name the pool, at whatever address this server was
// reached when the token was issued.
func ReadAccess(poolID string, payload []byte) (*Access, error) {
	a := &Access{PoolID: poolID}
	var use, issuer string
	err := members(string(payload), func(name, value string) (err error) {
		switch name {
		case "sub":
			a.Sub, err = unquote(value)
		case "device_key":
			a.DeviceKey, err = unquote(value)
		case "iss":
			issuer, err = unquote(value)
		case "client_id":
			a.ClientID, err = unquote(value)
		case "origin_jti":
			a.Family, err = unquote(value)
		case "event_id":
			a.EventID, err = unquote(value)
		case "token_use":
			use, err = unquote(value)
		case "scope":
			var list string
			list, err = unquote(value)
			a.Scopes = strings.Fields(list)
		case "auth_time":
			a.AuthTime, err = seconds(value)
		case "exp":
			a.Expires, err = seconds(value)
		case "iat":
			a.Issued, err = seconds(value)
		case "jti":
			a.ID, err = unquote(value)
		case "username":
			a.Username, err = unquote(value)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read claims: %w", err)
	}
	if use != "access" || !strings.HasSuffix(issuer, "/"+poolID) || a.Sub == "" || a.ClientID == "" || a.Expires.IsZero() {
		return nil, fmt.Errorf("claims of another token: token_use %q, issuer %q", use, issuer)
	}
	return a, nil
}

// errClaims says that a payload is not what Claims.Append writes.
var errClaims = errors.New("not an object of claims")

// members calls fn for every member of a JSON object as Claims.Append writes it: without white space outside of values.
// It compares no names, decodes no values, and checks of them only where they end.
func members(text string, fn func(name, value string) error) error {
	rest, ok := strings.CutPrefix(text, "{")
	for ok && rest != "}" {
		end := valueEnd(rest)
		if end < 2 || rest[0] != '"' || end >= len(rest) || rest[end] != ':' {
			return errClaims
		}
		name, err := unquote(rest[:end])
		if err != nil {
			return err
		}
		rest = rest[end+1:]
		if end = valueEnd(rest); end == 0 || end == len(rest) {
			return errClaims
		}
		if err := fn(name, rest[:end]); err != nil {
			return err
		}
		switch {
		case rest[end:] == "}":
			return nil
		case rest[end] != ',' || rest[end+1:] == "}":
			return errClaims
		}
		rest = rest[end+1:]
	}
	if !ok {
		return errClaims
	}
	return nil
}

// valueEnd is the index behind the JSON value at the beginning of a text.
func valueEnd(s string) int {
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			if quoted = !quoted; !quoted && depth == 0 {
				return i + 1
			}
		case quoted:
		case c == '{', c == '[':
			depth++
		case (c == '}' || c == ']') && depth > 0:
			if depth--; depth == 0 {
				return i + 1
			}
		case depth == 0 && (c == ',' || c == '}' || c == ']' || c == ':'):
			return i
		}
	}
	return len(s)
}

func unquote(value string) (string, error) {
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' && strings.IndexByte(value, '\\') < 0 {
		return value[1 : n-1], nil
	}
	var s string
	if len(value) == 0 || value[0] != '"' {
		return "", errClaims
	}
	err := json.Unmarshal([]byte(value), &s)
	return s, err
}

func seconds(value string) (time.Time, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	return time.Unix(n, 0).UTC(), err
}
