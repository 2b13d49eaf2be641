package bulk

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/poolhouse/poolhouse/internal/app/caller"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
)

// Options say what Run does and how.
type Options struct {
	Caller  *caller.Caller
	Change  Change
	Workers int // connections that change users; 1 at least
	// State records the run; nil: nothing does. Past is what it told when it was opened, nil or zero without an earlier run.
	State *State
	Past  *Past
	// MaxRefused ends the run after so many refused users; 0: it does not end.
	MaxRefused int
	// OnRefused is told of every refused user; nil: nobody is.
	OnRefused func(*Refusal) error
	// OnProgress is told how things stand, some ten times a second; nil: nobody is.
	OnProgress func(Progress)
	// OnRelist is told when the page token of the state file has expired, so that the list begins anew.
	OnRelist func()
}

// Progress is how a run stands. Counts include those of the earlier runs of a state file.
type Progress struct {
	Listed    int           `json:"listed"` // users seen by this run
	Whole     bool          `json:"whole"`  // the list was read to its end
	Changed   int           `json:"changed"`
	Same      int           `json:"same"` // users who had the values already
	Refused   int           `json:"refused"`
	Throttled int           `json:"throttled"` // calls that the endpoint refused as one too many, all made again
	Calls     int           `json:"calls"`     // users that this run changed or was refused
	Elapsed   time.Duration `json:"elapsed_ns"`
}

// Rate is how many users a second this run has dealt with.
func (p *Progress) Rate() float64 {
	if p.Elapsed <= 0 {
		return 0
	}
	return float64(p.Calls) / p.Elapsed.Seconds()
}

// ErrTooManyRefused ends a run of which more was refused than Options.MaxRefused allows.
var ErrTooManyRefused = errors.New("too many users were refused")

// A page is one of the list, on its way.
type page struct {
	next string
	same int
	left int // users not dealt with; of the recorder alone
}

// A job is a user to change.
type job struct {
	user string
	need need
	page *page
}

// An event is what the recorder learns: a page that was listed, with its number of users, or a user who was dealt with.
type event struct {
	page    *page
	users   int
	last    bool // the page is the last one
	job     *job
	refused *Refusal
}

// runner is a run. The lister sends jobs to the workers, all of them send events to the recorder.
type runner struct {
	o      Options
	bodies bodies
	jobs   chan job
	events chan event
	stop   context.CancelCauseFunc
	update *pacer
	list   *pacer
	start  time.Time
}

// buffers are how many jobs and events may wait: some pages ahead of the workers.
const buffers = 16 * pageSize

// finishLimit is how long calls on their way may take when the run is told to stop.
const finishLimit = 5 * time.Second

// Run carries out a change. The result is how far it came, also when there is an error.
func Run(ctx context.Context, o Options) (Progress, error) {
	if err := o.Change.Check(); err != nil {
		return Progress{}, err
	}
	if o.Past == nil {
		o.Past = &Past{}
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// Who is asked to stop finishes what is on its way: a call whose outcome nobody knows would be made twice.
	calls, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(finishLimit, cut) })()
	r := &runner{o: o, bodies: o.Change.bodies(), jobs: make(chan job, buffers), events: make(chan event, buffers), stop: stop,
		update: newPacer(), list: newPacer(), start: clock.Machine()}
	if o.Past.Ended {
		return r.begin(), nil
	}
	var group sync.WaitGroup
	group.Go(func() {
		defer close(r.jobs)
		if err := r.lists(ctx); err != nil {
			stop(err)
		}
	})
	for i := range max(o.Workers, 1) {
		group.Go(func() {
			if err := r.works(ctx, calls, float64(i)/float64(max(o.Workers, 1))); err != nil {
				stop(err)
			}
		})
	}
	go func() {
		group.Wait()
		close(r.events)
	}()
	p, err := r.records()
	if cause := context.Cause(ctx); cause != nil {
		err = errors.Join(cause, err)
	}
	if err == nil && o.State != nil {
		err = errors.Join(o.State.end(), o.State.save())
	}
	return p, err
}

// begin is the progress of earlier runs.
func (r *runner) begin() Progress {
	past := r.o.Past
	return Progress{Changed: past.Changed, Same: past.Same, Refused: len(past.Refused)}
}

// send tells the recorder, which listens to the end.
func (r *runner) send(e event) { r.events <- e }

// lists reads the list and decides about each user.
func (r *runner) lists(ctx context.Context) error {
	l := lister{line: r.o.Caller.Line(), pace: r.list, pool: r.o.Change.Pool, filter: r.o.Change.Filter}
	defer l.line.Close()
	token := r.o.Past.next
	for kept := token != ""; ; kept = false {
		var got listed
		err := l.page(ctx, token, &got)
		if refusal, ok := errors.AsType[*caller.Refusal](err); ok && kept && refusal.Code == "InvalidParameterException" {
			// The token of an earlier run has grown too old. The users behind it are known to the state file.
			if r.o.OnRelist != nil {
				r.o.OnRelist()
			}
			token = ""
			continue
		}
		if err != nil {
			return err
		}
		p := &page{next: got.PaginationToken}
		jobs := make([]job, 0, len(got.Users))
		for i := range got.Users {
			u := &got.Users[i]
			if r.o.Past.knows(u.Username) {
				continue
			}
			if n := r.o.Change.needs(u); n != (need{}) {
				jobs = append(jobs, job{u.Username, n, p})
			} else {
				p.same++
			}
		}
		p.left = len(jobs)
		r.send(event{page: p, users: len(got.Users), last: p.next == ""})
		for _, j := range jobs {
			select {
			case r.jobs <- j:
			case <-ctx.Done():
				return nil
			}
		}
		if token = got.PaginationToken; token == "" {
			return nil
		}
	}
}

// works changes users over one connection.
func (r *runner) works(ctx, calls context.Context, spread float64) error {
	line := r.o.Caller.Line()
	defer line.Close()
	var body []byte
	for {
		if ctx.Err() != nil {
			return nil
		}
		j, more := <-r.jobs
		if !more {
			return nil
		}
		refusal, err := r.change(ctx, calls, line, spread, &body, &j)
		if err != nil {
			return fmt.Errorf("change user %q: %w", j.user, err)
		}
		r.send(event{job: &j, refused: refusal})
	}
}

// change makes the calls for a user. An error ends the run: no other user would fare better.
func (r *runner) change(ctx, calls context.Context, line *caller.Line, spread float64, body *[]byte, j *job) (*Refusal, error) {
	for _, step := range []struct {
		needed    bool
		operation string
		what      []byte
	}{{j.need.set, "AdminUpdateUserAttributes", r.bodies.set}, {j.need.unset, "AdminDeleteUserAttributes", r.bodies.unset}} {
		if !step.needed {
			continue
		}
		*body = append(appendText(append((*body)[:0], r.bodies.about...), j.user), step.what...)
		reply, err := callPatiently(ctx, calls, line, r.update, spread, step.operation, *body)
		if err != nil {
			return nil, err
		}
		if reply.OK() {
			continue
		}
		refusal := reply.Refusal()
		if Fatal(refusal) {
			return nil, refusal
		}
		return &Refusal{User: j.user, Code: refusal.Code, Message: refusal.Message}, nil
	}
	return nil, nil
}

// records keeps the books until everybody has ended. After an error of its own it stops the others and goes on listening.
func (r *runner) records() (Progress, error) {
	p := r.begin()
	var pages []*page // from the first whose users are not all done
	var failed error
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case e, more := <-r.events:
			if !more {
				r.tell(&p)
				if r.o.State != nil && failed == nil {
					failed = r.o.State.save()
				}
				return p, failed
			}
			if failed != nil {
				continue
			}
			if failed = r.record(e, &p, &pages); failed != nil {
				r.stop(failed)
			}
		case <-tick.C:
			r.tell(&p)
			if failed == nil {
				if failed = r.o.State.tick(clock.Machine()); failed != nil {
					r.stop(failed)
				}
			}
		}
	}
}

func (r *runner) tell(p *Progress) {
	p.Elapsed = clock.Machine().Sub(r.start)
	p.Throttled = r.update.tooMany() + r.list.tooMany()
	if r.o.OnProgress != nil {
		r.o.OnProgress(*p)
	}
}

func (r *runner) record(e event, p *Progress, pages *[]*page) error {
	if e.page != nil {
		p.Listed += e.users
		p.Same += e.page.same
		p.Whole = e.last
		*pages = append(*pages, e.page)
	} else {
		e.job.page.left--
		p.Calls++
		if err := r.settle(e, p); err != nil {
			return err
		}
	}
	for len(*pages) > 0 && (*pages)[0].left == 0 {
		first := (*pages)[0]
		*pages = (*pages)[1:]
		if first.next == "" {
			continue // the end is told when everybody has ended
		}
		if err := r.o.State.page(first.next, first.same); err != nil {
			return err
		}
	}
	if s := r.o.State; s != nil && s.unsaved >= saveEvery {
		return s.save()
	}
	return nil
}

func (r *runner) settle(e event, p *Progress) error {
	if e.refused == nil {
		p.Changed++
		return r.o.State.done(e.job.user)
	}
	p.Refused++
	if err := r.o.State.refused(e.refused); err != nil {
		return err
	}
	if r.o.OnRefused != nil {
		if err := r.o.OnRefused(e.refused); err != nil {
			return err
		}
	}
	if r.o.MaxRefused > 0 && p.Refused >= r.o.MaxRefused+len(r.o.Past.Refused) {
		return ErrTooManyRefused
	}
	return nil
}
