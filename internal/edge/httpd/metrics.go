package httpd

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics counts requests for Prometheus. A nil Metrics counts nothing.
type Metrics struct {
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	inFlight  prometheus.Gauge
	// good are the counters of requests that succeeded, by dialect and operation: looking them up by label each time
	// would be dearer than counting.
	good [2]sync.Map // *api.Spec → *series
}

type series struct {
	count prometheus.Counter
	took  prometheus.Observer
}

// Reading is a number that another part of the server keeps.
type Reading struct {
	Name, Help string
	Counter    bool // it only grows
	Value      func() float64
}

// NewMetrics returns the metrics of the edge, the Go runtime and the process, with the readings of others beside them.
func NewMetrics(readings ...Reading) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "poolhouse_requests_total",
			Help: "Requests by operation, dialect, HTTP status and fault code. What names no known operation has none here.",
		}, []string{"operation", "dialect", "status", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "poolhouse_request_duration_seconds",
			Help:    "Time from the end of a request's headers to the end of its answer, by operation.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"operation"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "poolhouse_requests_in_flight",
			Help: "Requests that are being answered.",
		}),
	}
	m.registry.MustRegister(m.requests, m.durations, m.inFlight,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, r := range readings {
		if r.Counter {
			m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: r.Name, Help: r.Help}, r.Value))
		} else {
			m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: r.Name, Help: r.Help}, r.Value))
		}
	}
	return m
}

// Handler answers /metrics. It belongs on a listener of its own, which only the operator reaches.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return mux
}

func (m *Metrics) begin() {
	if m != nil {
		m.inFlight.Inc()
	}
}

func (m *Metrics) end(x *exchange, took time.Duration) {
	if m == nil {
		return
	}
	m.inFlight.Dec()
	if x.quiet {
		return
	}
	dialect := ""
	if x.answer != "" {
		dialect = x.dialect.String()
	}
	if x.spec == nil || x.status != http.StatusOK {
		m.requests.WithLabelValues(x.name(), dialect, strconv.Itoa(x.status), string(x.code)).Inc()
		if x.spec != nil {
			m.durations.WithLabelValues(x.spec.Name).Observe(took.Seconds())
		}
		return
	}
	good := &m.good[x.dialect]
	found, ok := good.Load(x.spec)
	if !ok {
		found, _ = good.LoadOrStore(x.spec, &series{
			m.requests.WithLabelValues(x.spec.Name, dialect, "200", ""), m.durations.WithLabelValues(x.spec.Name)})
	}
	if s, ok := found.(*series); ok {
		s.count.Inc()
		s.took.Observe(took.Seconds())
	}
}
