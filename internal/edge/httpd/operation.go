package httpd

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/edge/authn"
	"github.com/poolhouse/poolhouse/internal/edge/wire"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// operation answers a request to the API. What can be told from the headers is refused before the body is read.
func (x *exchange) operation() {
	r := x.r
	switch r.Method {
	case http.MethodPost:
	case http.MethodOptions:
		x.preflight()
		return
	default:
		x.notAllowed("POST, OPTIONS")
		return
	}
	types := r.Header["Content-Type"]
	if len(types) != 1 {
		x.refuse(http.StatusUnsupportedMediaType)
		return
	}
	dialect, answer, ok := wire.DialectOf(types[0])
	if !ok || !identity(r.Header["Content-Encoding"]) {
		x.refuse(http.StatusUnsupportedMediaType)
		return
	}
	x.dialect, x.answer = dialect, answer
	if x.forKeys() {
		x.keys()
		return
	}
	name, named := wire.Name(dialect, r.Header["X-Amz-Target"], r.URL.Path, r.URL.RawQuery)
	if !named && dialect == wire.Plain {
		name = wire.Implied
	}
	x.spec, ok = api.ByName(name)
	if !ok {
		x.fault(http.StatusBadRequest, fault.UnknownOperation())
		return
	}
	if x.spec.Auth == api.IAM && x.origin == foreign {
		x.fault(http.StatusBadRequest, fault.CrossOrigin())
		return
	}
	// Counted after the body is read: one that comes slowly takes no place. Where there are too many already, a long one is not read at all.
	// A short one is, because it is mostly here: to end the connection instead would make callers connect again, which costs more.
	if !x.short() && x.crowded(x.inFlight.Load()+1) {
		x.fault(http.StatusBadRequest, fault.TooManyRequests())
		return
	}
	if !x.read() {
		return
	}
	defer x.release()
	defer x.inFlight.Add(-1)
	if x.crowded(x.inFlight.Add(1)) {
		x.fault(http.StatusBadRequest, fault.TooManyRequests())
		return
	}
	in := inbound{exchange: x, named: named}
	region := ""
	if x.spec.Auth == api.IAM {
		in.principal, region, in.err = x.authenticate(r.Context())
	}
	if region == "" {
		region = regionOfHost(strings.ToLower(hostname(r.Host)))
	}
	if region == "" {
		region = x.Region
	}
	reply := x.Pipeline.Serve(r.Context(), &dispatch.Request{
		ID: x.id, Operation: name, Region: region, Source: x.source, UserAgent: r.UserAgent(), Inbound: &in,
	})
	x.pool, x.caller, x.cause = reply.PoolID, reply.Caller, reply.Cause
	if reply.Err != nil {
		if !named {
			reply.Err = wire.Hint(reply.Err)
		}
		x.fault(statusOf(reply.Err), reply.Err)
		return
	}
	x.buf.out = wire.AppendOutput(x.buf.out[:0], dialect, reply.Spec, reply.Out, x.id, reply.At)
	x.write(http.StatusOK, x.buf.out)
}

// shortBody is a length of bodies, in bytes, that comes with the headers or right behind them.
const shortBody = 16 << 10

// short reports whether the body is known to be short.
func (x *exchange) short() bool { return x.r.ContentLength >= 0 && x.r.ContentLength <= shortBody }

// crowded reports whether so many requests are more than may be worked on at the same time.
func (x *exchange) crowded(n int64) bool {
	return x.limits.InFlight >= 0 && n > int64(x.limits.InFlight)
}

func identity(encoding []string) bool {
	for _, e := range encoding {
		if e != "" && !strings.EqualFold(e, "identity") {
			return false
		}
	}
	return true
}

func statusOf(f *fault.Error) int {
	if f.Code.Server() {
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

// inbound is what the pipeline asks of a request.
type inbound struct {
	*exchange
	named     bool
	principal dispatch.Principal
	err       error // why there is none
}

// Authenticate implements dispatch.Inbound. The signature was read already, because it also names the region.
func (in *inbound) Authenticate(context.Context, *api.Spec) (dispatch.Principal, error) {
	return in.principal, in.err
}

// Decode implements dispatch.Inbound.
func (in *inbound) Decode(spec *api.Spec, into any) (dispatch.Missing, error) {
	missing, err := wire.Decode(spec.In, in.buf.in, into)
	if err == nil && !in.named {
		err = wire.Stray(spec.In, in.buf.in)
	}
	return missing, err
}

// authenticate proves the caller of an operation that needs a signature, and returns the region that was signed for,
// "" where none was.
func (x *exchange) authenticate(ctx context.Context) (dispatch.Principal, string, error) {
	result, err := x.credentials(ctx, authn.FromHTTP(x.r, x.buf.in))
	if err != nil {
		if e, ok := errors.AsType[*authn.Error](err); ok {
			return dispatch.Principal{}, "", fault.Signature(fault.Code(e.Code), e.Message)
		}
		return dispatch.Principal{}, "", err
	}
	key := result.Key
	name := key.Name
	if name == "" {
		name = key.ID
	}
	p := dispatch.Principal{
		KeyID:   key.ID,
		ARN:     "arn:aws:iam::" + x.Pipeline.Account + ":user/" + name,
		Actions: key.Actions,
		Pools:   poolIDs(key.Pools),
	}
	if !key.AllowsAction(x.spec.Name) {
		return p, "", fault.Denied(p.ARN, x.spec.Name, "*") // which pool is not known before the body is read
	}
	if !isRegion(result.Region) {
		return p, "", nil
	}
	return p, result.Region, nil
}

// anonymous is the name of a caller who need not say who it is.
const anonymous = "anonymous-dev"

// credentials finds the caller's key by the rules of the dialect and the mode. A bearer key is nothing that the
// vendor's tools could send, so the AWS dialect does not take it.
func (x *exchange) credentials(ctx context.Context, r *authn.Request) (authn.Result, error) {
	switch {
	case !x.Verify && x.dialect == wire.AWS:
		return x.Verifier.Inspect(r)
	case !x.Verify:
		if len(r.Header["Authorization"]) > 0 || r.RawQuery != "" {
			if result, err := x.Verifier.Inspect(r); err == nil {
				return result, nil
			}
		}
		return authn.Result{Key: authn.Key{ID: anonymous}}, nil
	case x.dialect == wire.Plain && bearer(x.r.Header["Authorization"]):
		return x.Verifier.Bearer(ctx, r)
	}
	return x.Verifier.Verify(ctx, r)
}

func bearer(authorization []string) bool {
	if len(authorization) != 1 {
		return false
	}
	scheme, _, _ := strings.Cut(authorization[0], " ")
	return strings.EqualFold(scheme, "Bearer")
}

// poolIDs turns what a key may touch into ids. The pipeline compares ids: a pattern that has wildcards covers nothing,
// but for "*" alone, which is everything.
func poolIDs(pools []string) []string {
	ids := pools
	for i, p := range pools {
		if p == "*" {
			return nil
		}
		if at := strings.LastIndex(p, ":userpool/"); at >= 0 {
			if &ids[0] == &pools[0] {
				ids = append([]string(nil), pools...)
			}
			ids[i] = p[at+len(":userpool/"):]
		}
	}
	return ids
}

// buffers hold a request's body and its answer; they are used again.
type buffers struct {
	in, out []byte
	small   []byte // takes the place of in after a long body; nil: there was none
}

// keep is the largest buffer that is used again, in bytes.
const keep = 64 << 10

// takeBuffers and release frame the use of buffers. Nothing that outlives the request may point into them.
func (x *exchange) takeBuffers() {
	if x.buf, _ = x.buffers.Get().(*buffers); x.buf == nil {
		x.buf = &buffers{in: make([]byte, 0, 1024), out: make([]byte, 0, 1024)}
	}
}

func (x *exchange) release() {
	if x.buf != nil && x.buf.small != nil {
		large := x.buf.in[:0]
		x.largeBuffers.Put(&large)
		x.buf.in, x.buf.small = x.buf.small, nil
	}
	if x.buf != nil && cap(x.buf.in) <= keep && cap(x.buf.out) <= keep {
		x.buffers.Put(x.buf)
	}
	x.buf = nil
}

// maxBody is how many bytes the operation's body may have. The two that carry images get twice as much (documented).
func (x *exchange) maxBody() int64 {
	if x.spec == nil {
		return x.limits.Body
	}
	switch x.spec.Name {
	case "CreateManagedLoginBranding", "UpdateManagedLoginBranding":
		return 2 * x.limits.Body
	}
	return x.limits.Body
}

// read reads the body, and reports false after it has answered because that failed.
func (x *exchange) read() bool {
	limit := x.maxBody()
	if x.r.ContentLength > limit {
		x.tooLarge(limit)
		return false
	}
	x.takeBuffers()
	x.buf.in = x.buf.in[:0]
	if x.r.ContentLength == 0 {
		return true
	}
	err := x.pump(limit)
	x.received = len(x.buf.in)
	switch {
	case err == nil && int64(x.received) <= limit:
		return true
	case err == nil:
		x.tooLarge(limit)
	case isTimeout(err):
		x.refuse(http.StatusRequestTimeout)
	default: // broken chunks, or gone: the answer is for whoever still listens
		x.refuse(http.StatusBadRequest)
	}
	x.release()
	return false
}

func (x *exchange) tooLarge(limit int64) {
	x.hangUp()
	x.fault(http.StatusRequestEntityTooLarge, fault.TooLarge(strconv.FormatInt(limit, 10)))
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// fault answers with a refusal in the request's dialect.
func (x *exchange) fault(status int, f *fault.Error) {
	x.code = f.Code
	h := x.w.Header()
	h["X-Amzn-Errortype"] = []string{string(f.Code) + ":"}
	if f.Message != "" {
		h["X-Amzn-Errormessage"] = []string{wire.ErrorHeader(f.Message)}
	}
	if f.Retry > 0 {
		h["Retry-After"] = []string{strconv.FormatInt(int64((f.Retry+time.Second-1)/time.Second), 10)}
	}
	if x.buf == nil { // the body was not read
		x.hangUp()
		x.takeBuffers()
		defer x.release()
	}
	x.buf.out = wire.AppendFault(x.buf.out[:0], x.dialect, f, x.id)
	x.write(status, x.buf.out)
}

// write sends an answer of the API, which fits into one packet unless it is long.
func (x *exchange) write(status int, body []byte) {
	h := x.w.Header()
	values := [...]string{x.id, strconv.Itoa(len(body)), x.answer}
	h["X-Amzn-Requestid"] = values[0:1:1]
	h["Content-Length"] = values[1:2:2]
	if len(body) > 0 {
		h["Content-Type"] = values[2:3:3]
	}
	x.share(h)
	if len(x.r.TransferEncoding) > 0 && x.r.ProtoMajor == 1 {
		// A request may have had a Content-Length beside its chunks, which is how requests are smuggled past a proxy
		// that believes the other one. The library does not tell, so nothing more is read from such a connection.
		h["Connection"] = []string{"close"}
	}
	if x.Now().Sub(x.start) > x.limits.Write/3 {
		// The server's time-out for writing runs from the start of the request, and this one was slow to come.
		if err := http.NewResponseController(x.w).SetWriteDeadline(x.Now().Add(x.limits.Write)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			x.cause = errors.Join(x.cause, err)
		}
	}
	x.status, x.sent = status, len(body)
	x.w.WriteHeader(status)
	if len(body) > 0 {
		_, _ = x.w.Write(body) // whoever went away misses the answer, as with any other
	}
}
