package tokens

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/jose"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// The documents of an issuer, behind its path.
const (
	keysPath      = "/.well-known/jwks.json"
	discoveryPath = "/.well-known/openid-configuration"
)

// DocumentPath reports whether a path is that of a document which Documents serves.
func DocumentPath(path string) bool {
	return strings.HasSuffix(path, keysPath) || strings.HasSuffix(path, discoveryPath)
}

// The time for which others may keep a document: a day for keys that are older than a day, five minutes for younger ones
// and for the discovery document, which follows the pool's settings.
const (
	keepLong  = token.KeepSet
	keepShort = 5 * time.Minute
)

// Documents serves the key set and the discovery document of every pool, below the pool's id and, for issuers of type
// UPDATED, below another path. Both paths serve both documents whatever the type, as both hosts of the service lead to
// one pool; what they say is the pool's. Web pages of any origin may read them.
func (t *Tokens) Documents(log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("X-Content-Type-Options", "nosniff")
		switch r.Method {
		case http.MethodGet, http.MethodHead:
		case http.MethodOptions:
			preflight(w, r)
			return
		default:
			h.Set("Allow", "GET, HEAD, OPTIONS")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		h.Set("Content-Type", "application/json")
		body, age, err := t.document(r.Context(), r.URL.Path)
		if err != nil {
			refuse(w, r, log, err)
			return
		}
		h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(age.Seconds())))
		h.Set("Content-Length", strconv.Itoa(len(body)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(body) // whoever went away misses it
		}
	})
}

// preflight lets every page ask with every header: the documents are public.
func preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, HEAD")
	h.Set("Access-Control-Max-Age", "172800")
	if wanted := r.Header.Get("Access-Control-Request-Headers"); wanted != "" && len(wanted) < 1<<10 {
		h.Set("Access-Control-Allow-Headers", wanted)
	}
	w.WriteHeader(http.StatusOK)
}

// refuse answers an error: what is not there in the form of the API's exceptions (its text is unconfirmed), ours without
// its text.
func refuse(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		if r.Context().Err() == nil {
			log.ErrorContext(r.Context(), "document of an issuer", "path", r.URL.Path, "error", err)
		}
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNotFound)
	b := token.AppendString([]byte(`{"__type":`), string(f.Code))
	b = token.AppendString(append(b, `,"message":`...), f.Message)
	_, _ = w.Write(append(b, '}'))
}

// document makes the document at a path.
func (t *Tokens) document(ctx context.Context, path string) (body []byte, age time.Duration, err error) {
	rest, discovery := strings.CutSuffix(path, discoveryPath)
	if !discovery {
		rest = strings.TrimSuffix(path, keysPath)
	}
	id := strings.TrimPrefix(strings.TrimPrefix(rest, updatedPath), "/")
	if !pool.ValidID(id) {
		return nil, 0, fault.PoolNotFound(id)
	}
	if discovery {
		var p *pool.Pool
		err := t.Store.View(ctx, func(v store.View) (err error) {
			p, err = v.Pools().Get(id)
			return err
		})
		if err != nil {
			return nil, 0, found(err, fault.PoolNotFound(id))
		}
		return discover(t.Issuer(p)), keepShort, nil
	}
	r, err := t.ring(ctx, id)
	if err != nil {
		return nil, 0, found(err, fault.PoolNotFound(id))
	}
	now := t.Clock.Now()
	keys := r.at(now)
	age = keepShort
	if now.Sub(keys.youngest) > keepLong {
		age = keepLong
	}
	return jose.AppendSet(nil, keys.public...), age, nil
}

// discover is the discovery document of a pool without a domain (observed): its endpoints are named and lead nowhere. The
// members stand in the order of their names.
func discover(issuer string) []byte {
	address := func(b []byte, name, path string) []byte {
		return token.AppendString(append(token.AppendString(b, name), ':'), issuer+path)
	}
	b := address([]byte{'{'}, "authorization_endpoint", "/authorize")
	b = append(b, `,"id_token_signing_alg_values_supported":["RS256"],`...)
	b = address(b, "issuer", "")
	b = address(append(b, ','), "jwks_uri", keysPath)
	b = append(b, `,"response_types_supported":["code","token"],"scopes_supported":["openid","email","phone","profile"],"subject_types_supported":["public"],`...)
	b = address(b, "token_endpoint", "/token")
	b = append(b, `,"token_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post"],`...)
	return append(address(b, "userinfo_endpoint", "/userInfo"), '}')
}
