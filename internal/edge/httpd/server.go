// Package httpd is the door of the server: it takes HTTP requests, refuses what has no business here, hands the rest
// to the pipeline and writes the answers. It guards against web pages of other origins, other host names, slow and
// large requests, and panics; it keeps the request log and the metrics; it owns the listener from the first
// connection to the last answer.
//
// It does not know what a body means (that is wire) or whose a key is (authn), and it decides nothing about users.
package httpd

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/edge/authn"
	"github.com/poolhouse/poolhouse/internal/edge/wire"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// Server answers HTTP requests. Pipeline, Verifier, Region, Log, RequestID and Now must be set before the first
// request, and nothing may be changed after it.
type Server struct {
	Pipeline *dispatch.Pipeline
	Verifier *authn.Verifier
	// Verify demands valid signatures. Without it the server trusts its callers, which is for development: the AWS
	// dialect then only needs an Authorization that parses, the plain dialect none.
	Verify bool
	// PublicURL is where clients reach the server, nil where that is the listener's address. Its host is accepted and
	// its origin is the server's own.
	PublicURL *url.URL
	// Region serves requests that name none.
	Region string
	// AllowedHosts are further names that requests may be sent to, without port.
	AllowedHosts []string
	// AllowedOrigins are the origins, such as https://app.example.com, whose pages may call every operation.
	AllowedOrigins []string
	// TrustedProxies are the networks whose X-Forwarded-For and X-Forwarded-Proto are believed. A proxy must hand on
	// Host as it came, since signatures cover it.
	TrustedProxies []netip.Prefix
	Log            *slog.Logger
	Metrics        *Metrics // nil: none are kept
	// Ready reports why the server cannot serve, nil when it can; a nil Ready is always ready. It is asked by /readyz,
	// which tells the caller no reason.
	Ready func() error
	// Console answers below /_poolhouse/, nil: nothing does. It is called for pages of this server and this machine
	// only, and bodies that it reads are bounded in size and time.
	Console http.Handler
	// Keys answers receivers of custom senders who decrypt through a KMS client, nil: nobody does. KeyVerifier then checks their
	// signatures, where Verify demands any.
	Keys        KeyService
	KeyVerifier *authn.Verifier
	// Documents answers the paths that IsDocument reports, to pages of every origin; nil: nothing does.
	Documents  http.Handler
	IsDocument func(path string) bool
	// Confirm answers the links in the e-mails of sign-ups, nil: nothing does. requestID and source are those of the
	// request that the page makes in the user's name.
	Confirm func(w http.ResponseWriter, r *http.Request, requestID, source string)
	// RequestID draws a UUID.
	RequestID func() string
	// Now is the real time with its monotonic reading, which nothing moves.
	Now func() time.Time

	Limits Limits
	// CertFile and KeyFile turn TLS on in Run. They are read again when they change.
	CertFile, KeyFile string

	draining atomic.Bool
	inFlight atomic.Int64 // operations whose body is read and whose answer is not written
	buffers  sync.Pool
	// largeBuffers are for long bodies, few at a time.
	largeBuffers sync.Pool
}

// Limits are the bounds of requests and connections. Zero values stand for the defaults.
type Limits struct {
	Body      int64         // bytes of a body; 1 MiB
	Header    int           // bytes of a request line and headers; 64 KiB
	HeaderIn  time.Duration // until the headers are read; 10 s
	BodyGrace time.Duration // until a body must have come at BodyRate; 10 s
	BodyRate  int           // bytes a second; 1024
	Idle      time.Duration // between two requests of a connection; 120 s
	Write     time.Duration // until an answer is taken; 60 s
	Drain     time.Duration // for which a stopping server still takes new requests; 0
	Stop      time.Duration // until requests in flight are cut off; 30 s
	// InFlight is how many requests to operations may be worked on at the same time; 512, or with a negative number any. One that is
	// too many is refused at once: waiting would only make everybody late.
	InFlight int
	// Connections is how many may be open at once; by default as many as file descriptors allow, with some left over
	// for the database. At the bound the connections that are idle longest are closed.
	Connections int
}

func (l Limits) orDefaults() Limits {
	or(&l.Body, 1<<20)
	or(&l.Header, 64<<10)
	or(&l.HeaderIn, 10*time.Second)
	or(&l.BodyGrace, 10*time.Second)
	or(&l.BodyRate, 1024)
	or(&l.Idle, 120*time.Second)
	or(&l.Write, 60*time.Second)
	or(&l.Stop, 30*time.Second)
	or(&l.InFlight, 512)
	return l
}

func or[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// Handler answers everything: operations, /healthz, /readyz, the documents of issuers, confirmation links and the console.
func (s *Server) Handler() http.Handler {
	return &handler{Server: s, limits: s.Limits.orDefaults(), guard: newGuard(s)}
}

type handler struct {
	*Server
	limits Limits
	guard  guard
}

const consolePath = "/_poolhouse/"

// ServeHTTP sorts requests by host and path, and catches panics.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchange{handler: h, w: w, r: r, start: h.Now(), id: h.RequestID(), source: h.guard.source(r)}
	x.origin = h.guard.judge(r)
	h.Metrics.begin()
	defer x.end()
	path := r.URL.Path
	switch {
	case !h.guard.knows(r.Host):
		x.refuse(http.StatusMisdirectedRequest)
	case path == "/healthz", path == "/readyz":
		x.health(path == "/readyz")
	case path == "/_poolhouse" || strings.HasPrefix(path, consolePath):
		x.console()
	case x.Documents != nil && x.IsDocument(path):
		x.document()
	case h.Confirm != nil && (path == "/confirmUser" || path == "/confirmUser/"):
		x.confirm()
	case !wire.KnownPath(path):
		x.refuse(http.StatusNotFound)
	default:
		x.operation()
	}
}

// exchange is one request and its answer.
type exchange struct {
	*handler
	w      http.ResponseWriter
	r      *http.Request
	start  time.Time
	id     string
	source string // the caller's address
	origin origin

	dialect wire.Dialect
	answer  string // the content type of the answer, once the dialect is known
	spec    *api.Spec
	buf     *buffers

	// For the record.
	status   int
	received int // bytes of the bodies
	sent     int
	code     fault.Code
	cause    error
	pool     string
	caller   string
	quiet    bool // no line in the log, nothing in the metrics
}

// refuse answers with a status and no body.
func (x *exchange) refuse(status int) {
	x.hangUp()
	h := x.w.Header()
	h["Content-Length"] = []string{"0"}
	h["X-Amzn-Requestid"] = []string{x.id}
	x.status = status
	x.w.WriteHeader(status)
}

// hangUp ends the connection after the answer when a body was sent that nobody is going to read: reading it to its
// end would be work, and a slow one would hold the connection.
func (x *exchange) hangUp() {
	if x.r.ContentLength != 0 {
		x.w.Header()["Connection"] = []string{"close"}
	}
}

// health answers the probes. They tell no reasons, since anyone may ask.
func (x *exchange) health(readiness bool) {
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		x.notAllowed("GET, HEAD")
		return
	}
	x.quiet = true
	status, text := http.StatusOK, "ok\n"
	if readiness && (x.draining.Load() || x.Ready != nil && x.Ready() != nil) {
		status, text = http.StatusServiceUnavailable, "not ready\n"
	}
	x.hangUp()
	h := x.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	x.status = status
	x.w.WriteHeader(status)
	_, _ = x.w.Write([]byte(text)) // a probe that went away needs no answer
}

func (x *exchange) notAllowed(methods string) {
	x.w.Header().Set("Allow", methods)
	x.refuse(http.StatusMethodNotAllowed)
}

// console hands over to the pages, unless a page of somebody else asks.
func (x *exchange) console() {
	switch {
	case x.Console == nil:
		x.refuse(http.StatusNotFound)
	case x.origin == foreign:
		x.answer = "application/json"
		x.dialect = wire.Plain
		x.fault(http.StatusBadRequest, fault.CrossOrigin())
	default:
		watched := &watcher{exchange: x, ResponseWriter: x.w}
		if x.r.ContentLength != 0 {
			x.r.Body = http.MaxBytesReader(watched, x.r.Body, x.limits.Body)
			if err := http.NewResponseController(x.w).SetReadDeadline(x.start.Add(x.limits.Write)); err != nil && !errors.Is(err, http.ErrNotSupported) {
				x.cause = err
				x.refuse(http.StatusInternalServerError)
				return
			}
		}
		x.Console.ServeHTTP(watched, x.r)
		if x.status == 0 {
			x.status = http.StatusOK // the library sends that when a page writes nothing
		}
	}
}

// document hands over to what everybody may read.
func (x *exchange) document() {
	x.hangUp() // nobody reads a body
	x.w.Header()["X-Amzn-Requestid"] = []string{x.id}
	x.Documents.ServeHTTP(&watcher{exchange: x, ResponseWriter: x.w}, x.r)
	if x.status == 0 {
		x.status = http.StatusOK // the library sends that when nothing is written
	}
}

// confirm hands over to the page behind the links of sign-ups. Users come to it from other sites, such as that of their
// mail: the code in the link is what proves them.
func (x *exchange) confirm() {
	x.hangUp() // nobody reads a body
	x.Confirm(&watcher{exchange: x, ResponseWriter: x.w}, x.r, x.id, x.source)
	if x.status == 0 {
		x.status = http.StatusOK // the library sends that when a page writes nothing
	}
}

// watcher records the status and the size of an answer that a page writes.
type watcher struct {
	http.ResponseWriter
	exchange *exchange
}

// WriteHeader implements http.ResponseWriter.
func (w *watcher) WriteHeader(status int) {
	if w.exchange.status == 0 && status >= http.StatusOK {
		w.exchange.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *watcher) Write(p []byte) (int, error) {
	if w.exchange.status == 0 {
		w.exchange.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.exchange.sent += n
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *watcher) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// end catches a panic and writes the record.
func (x *exchange) end() {
	if v := recover(); v != nil {
		x.panicked(v)
	}
	took := x.Now().Sub(x.start)
	x.Metrics.end(x, took)
	x.record(took)
}

// panicked logs a panic, and answers as any internal error if nothing was answered yet.
func (x *exchange) panicked(v any) {
	if v == http.ErrAbortHandler { //nolint:errorlint // this very value is the signal
		x.quiet = true
		x.Metrics.end(x, 0)
		panic(v)
	}
	x.Log.Error("panic", "panic", v, "request_id", x.id, "operation", x.name(), "stack", string(debug.Stack()))
	x.code = fault.InternalErrorException
	if x.status != 0 {
		return // something was sent already, and nothing sensible can be added
	}
	if x.answer == "" {
		x.refuse(http.StatusInternalServerError)
		return
	}
	x.fault(http.StatusInternalServerError, fault.Internal(x.id))
}
