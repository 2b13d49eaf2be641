//go:build linux

package chaos

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// envLoad holds the LoadConfig of a process that is a load.
const envLoad = "CHAOS_LOAD"

// LoadConfig says what a load does.
type LoadConfig struct {
	Endpoints []string // writers are dealt to them in turn
	Pool      string   // the pool that all share
	Writers   int
	Seed      uint64
	Log       string
	Timeout   time.Duration // of a call
	Think     time.Duration // pause of a writer between two calls
	SignIns   bool          // nobody does anything but sign in
}

// order is a line that the load is told: to run, after the calls that it left open were settled, or to pause.
type order struct {
	Run       bool
	Committed map[int64]string // calls of unknown outcome that took place, with the sub of a user that was made
}

// paused is the line that the load says when no call is open.
const paused = "paused"

// Load turns this process into a load if it was started as one: it must be the first thing that TestMain does. It reports whether it
// was, and the exit status.
func Load() (code int, was bool) {
	text := os.Getenv(envLoad)
	if text == "" {
		return 0, false
	}
	if err := load(text); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		return 1, true
	}
	return 0, true
}

// load runs until its input ends.
func load(text string) error {
	var c LoadConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	file, err := os.OpenFile(c.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	log := &lineWriter{file: file, start: time.Now()}
	client := &http.Client{Timeout: c.Timeout, Transport: &http.Transport{MaxIdleConnsPerHost: c.Writers, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext}}
	table := Operations()
	if c.SignIns {
		table = SignIns()
	}
	writers := make([]*Writer, c.Writers)
	for i := range writers {
		writers[i] = &Writer{
			ID: i, Pool: c.Pool, rand: random(c.Seed, uint64(i)), endpoint: c.Endpoints[i%len(c.Endpoints)], http: client, log: log,
			model: Model{}, frozen: map[string]bool{}, open: map[int64]Effect{},
		}
	}
	var group sync.WaitGroup
	failures := make(chan error, c.Writers)
	stop := make(chan struct{})
	running := false
	pause := func() {
		if running {
			close(stop)
			group.Wait()
			running = false
		}
	}
	defer pause()
	orders := bufio.NewScanner(os.Stdin)
	orders.Buffer(nil, 16<<20)
	for orders.Scan() {
		var o order
		if err := json.Unmarshal(orders.Bytes(), &o); err != nil {
			return err
		}
		pause()
		select {
		case err := <-failures:
			return err
		default:
		}
		if !o.Run {
			if _, err := fmt.Println(paused); err != nil {
				return err
			}
			continue
		}
		stop, running = make(chan struct{}), true
		for _, w := range writers {
			w.settle(o.Committed)
			group.Go(func() {
				if err := w.run(stop, table, c.Think); err != nil {
					failures <- err
				}
			})
		}
	}
	return orders.Err()
}

// Writer is one caller. It alone changes its objects, so that it knows what they must be.
type Writer struct {
	ID   int
	Pool string

	rand     *rand.Rand
	endpoint string
	http     *http.Client
	log      *lineWriter
	model    Model
	frozen   map[string]bool  // objects of calls whose outcome is not known
	open     map[int64]Effect // those calls
	drawn    int
	told     map[string]bool     // addresses of forgetful users that got their message, or may have
	held     map[string]*holding // what visitors hold, by name
}

// settle takes in what became of the calls whose outcome was unknown.
func (w *Writer) settle(committed map[int64]string) {
	for seq, e := range w.open {
		if sub, ok := committed[seq]; ok {
			w.apply(e, sub)
		}
	}
	clear(w.open)
	clear(w.frozen)
}

func (w *Writer) apply(e Effect, sub string) {
	w.model.Apply(e)
	if sub != "" && userName(e.Object) != "" {
		w.model[e.Object][fieldSub] = sub
	}
}

// unique draws a text that no call has had before.
func (w *Writer) unique(prefix string) string {
	w.drawn++
	return prefix + strconv.Itoa(w.ID) + "n" + strconv.Itoa(w.drawn)
}

// prefix is how the names of the writer's users begin.
func (w *Writer) prefix() string { return "w" + strconv.Itoa(w.ID) + "u" }

func (w *Writer) exists(object string) bool { return w.model[object] != nil && !w.frozen[object] }

// objects lists what the writer owns under a prefix, including what is about to be made.
func (w *Writer) objects(prefix string) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(w.model)) {
		if strings.HasPrefix(name, prefix) && !w.frozen[name] {
			list = append(list, name)
		}
	}
	return list
}

// draw draws one of the writer's objects.
func (w *Writer) draw(prefix string) (string, bool) {
	list := w.objects(prefix)
	if len(list) == 0 {
		return "", false
	}
	return list[w.rand.IntN(len(list))], true
}

// user draws one of the writer's users.
func (w *Writer) user() (string, bool) { return w.draw("user:" + w.prefix()) }

// run calls operations until it is told to stop.
func (w *Writer) run(stop <-chan struct{}, table []Operation, think time.Duration) error {
	total := 0
	for _, o := range table {
		total += o.Weight
	}
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		n := w.rand.IntN(total)
		for _, o := range table {
			if n -= o.Weight; n < 0 {
				if call, ok := o.Draw(w); ok {
					if err := w.call(o.Name, call); err != nil {
						return err
					}
				}
				break
			}
		}
		if think > 0 {
			time.Sleep(time.Duration(w.rand.Int64N(int64(2 * think))))
		}
	}
}

// call makes one call and writes down what came of it.
func (w *Writer) call(operation string, c Call) error {
	line := Line{Writer: w.ID, Op: operation, Effect: &c.Effect}
	seq, err := w.log.begin(line)
	if err != nil {
		return err
	}
	line = w.judge(c, w.send(operation, c.Input))
	line.Seq, line.Writer, line.Op = seq, w.ID, operation
	switch line.Event {
	case OK:
		w.apply(c.Effect, line.Sub)
	case Unknown:
		if c.Effect.Kind != None {
			w.frozen[c.Effect.Object], w.open[seq] = true, c.Effect
		}
	case Unsent:
		defer time.Sleep(20 * time.Millisecond) // or the log fills with the absence of the server
	}
	return w.log.end(line)
}

// judge turns an answer into the end of a call.
func (w *Writer) judge(c Call, r reply) Line {
	line := Line{Request: r.request, Code: r.code}
	switch {
	case r.err != nil:
		line.Event, line.Note = Unknown, r.err.Error()
		if op := (*net.OpError)(nil); errors.As(r.err, &op) && op.Op == "dial" {
			line.Event = Unsent
		}
	case r.status >= 500:
		line.Event, line.Note = Unknown, string(r.body)
	case r.status != http.StatusOK:
		line.Event, line.Note = Refused, string(r.body)
		line.Expected = slices.Contains(c.Refused, r.code)
	case c.Must:
		line.Event, line.Note = Wrong, "accepted, and had to be refused with "+strings.Join(c.Refused, " or ")
	default:
		line.Event = OK
		if c.Check != nil {
			if err := c.Check(r.body); err != nil {
				line.Event, line.Note = Wrong, err.Error()
			}
		}
		if c.Made != nil {
			var err error
			if line.Sub, err = c.Made(r.body); err != nil || line.Sub == "" {
				line.Event, line.Note = Wrong, fmt.Sprintf("the answer does not tell what was made (%v): %s", err, r.body)
			}
		}
	}
	return line
}

// reply is what came back.
type reply struct {
	status  int
	code    string // of a fault
	request string
	body    []byte
	err     error // there was no whole answer
}

func (w *Writer) send(operation string, input map[string]any) reply {
	body, err := json.Marshal(input)
	if err != nil {
		return reply{err: err}
	}
	return send(w.http, w.endpoint, operation, body)
}

// answerLimit is more than an answer has, in bytes.
const answerLimit = 16 << 20

// send makes a call in the dialect of the AWS clients; a development server takes any signature.
func send(client *http.Client, endpoint, operation string, body []byte) reply {
	req, err := http.NewRequest(http.MethodPost, endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return reply{err: err}
	}
	sign(req.Header, operation)
	resp, err := client.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	r := reply{status: resp.StatusCode, request: resp.Header.Get("X-Amzn-Requestid")}
	r.code, _, _ = strings.Cut(resp.Header.Get("X-Amzn-Errortype"), ":")
	r.body, r.err = io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	return r
}

// sign sets the headers of a call.
func sign(h http.Header, operation string) {
	h.Set("Content-Type", "application/x-amz-json-1.1")
	h.Set("X-Amz-Target", "AWSCognitoIdentityProviderService."+operation)
	h.Set("X-Amz-Date", "20260101T000000Z")
	h.Set("Authorization", "AWS4-HMAC-SHA256 Credential=chaos/20260101/us-east-1/cognito-idp/aws4_request, SignedHeaders=host;x-amz-date, Signature="+strings.Repeat("0", 64))
}
