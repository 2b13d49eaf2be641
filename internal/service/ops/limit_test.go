package ops_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// inRegion sends a request of a region of the test's own: limits belong to no pool, and the tests share their databases.
func (w *world) inRegion(region, operation, body string) (string, string) {
	w.Helper()
	id := chance.System().RequestID()
	return id, w.text(w.pipeline.Serve(w.Context(), &dispatch.Request{ID: id, Operation: operation, Region: region, Source: "127.0.0.1",
		Inbound: inbound{strings.ReplaceAll(body, "$pool", w.pool.ID)}}))
}

func definition(category, more string) string {
	return fmt.Sprintf(`{"LimitDefinition":{"LimitClass":"API_CATEGORY","Attributes":{"Category":%q}}%s}`, category, more)
}

func limitText(category string, value, free int) string {
	return fmt.Sprintf(`{"Limit":{"LimitDefinition":{"LimitClass":"API_CATEGORY","Attributes":{"Category":%q}},"ProvisionedLimitValue":%d,"FreeLimitValue":%d}}`, category, value, free)
}

func TestUpdateProvisionedLimit(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		const region = "eu-west-9"
		get := func(region, category string) string {
			w.Helper()
			_, answer := w.inRegion(region, "GetProvisionedLimit", definition(category, ""))
			return answer
		}
		want.Equal(w, get(region, "UserUpdate"), limitText("UserUpdate", 25, 25))
		for _, n := range []int{60, 250, 25} { // raised, to the ceiling, and back
			id, answer := w.inRegion(region, "UpdateProvisionedLimit", definition("UserUpdate", fmt.Sprintf(`,"RequestedLimitValue":%d`, n)))
			want.Equal(w, answer, limitText("UserUpdate", n, 25))
			want.Equal(w, get(region, "UserUpdate"), limitText("UserUpdate", n, 25))
			w.view(func(v store.View) error {
				e, err := v.Journal().Get(id)
				if err == nil {
					want.Equal(w, e.Operation+" "+e.PoolID+e.Sub+strings.Join(e.Names, " "), "UpdateProvisionedLimit UserUpdate")
				}
				return err
			})
		}
		// Neither another region nor another category has changed, and nobody was told.
		want.Equal(w, get("eu-west-8", "UserUpdate"), limitText("UserUpdate", 25, 25))
		want.Equal(w, get(region, "UserRead"), limitText("UserRead", 120, 120))
		for category, n := range api.DefaultLimits() {
			want.Equal(w, get("eu-west-8", string(category)), limitText(string(category), n, n))
		}
		want.Equal(w, w.sent(), nil)
		want.Equal(w, w.ran(), nil)
	})
}

func TestProvisionedLimitRefusals(t *testing.T) {
	t.Parallel()
	const alone = "InvalidParameterException: A limit of the class API_CATEGORY is defined by the attribute Category alone."
	onBoth(t, nil, func(w *world) {
		const region = "eu-west-7"
		for _, test := range []struct{ name, body, want string }{
			{"unknown category", definition("Userupdate", `,"RequestedLimitValue":30`), "ResourceNotFoundException: There is no limit for the category Userupdate."},
			{"no category", `{"LimitDefinition":{"LimitClass":"API_CATEGORY","Attributes":{}},"RequestedLimitValue":30}`, alone},
			{"another attribute", `{"LimitDefinition":{"LimitClass":"API_CATEGORY","Attributes":{"Category":"UserUpdate","Pool":"p"}},"RequestedLimitValue":30}`, alone},
			{"in other letters", `{"LimitDefinition":{"LimitClass":"API_CATEGORY","Attributes":{"category":"UserUpdate"}},"RequestedLimitValue":30}`, alone},
			{"below the default", definition("UserUpdate", `,"RequestedLimitValue":24`),
				invalid("The requested limit value must not be lower than 25 for the category UserUpdate.")},
			{"negative", definition("UserUpdate", `,"RequestedLimitValue":-1`), invalid("The requested limit value must not be lower than 25 for the category UserUpdate.")},
			{"above the ceiling", definition("UserUpdate", `,"RequestedLimitValue":251`),
				"ServiceQuotaExceededException: The requested limit value exceeds the account maximum of 250 for the category UserUpdate."},
		} {
			_, got := w.inRegion(region, "UpdateProvisionedLimit", test.body)
			want.Equal(w, test.name+": "+got, test.name+": "+test.want)
			if !strings.Contains(test.want, "requested") {
				_, got = w.inRegion(region, "GetProvisionedLimit", strings.Replace(test.body, `,"RequestedLimitValue":30`, "", 1))
				want.Equal(w, test.name+": "+got, test.name+": "+test.want)
			}
		}
		for _, operation := range []string{"GetProvisionedLimit", "UpdateProvisionedLimit"} {
			_, got := w.inRegion(region, operation, `{"RequestedLimitValue":30}`)
			want.Contains(w, got, "Value null at 'limitDefinition' failed to satisfy constraint: Member must not be null")
			_, got = w.inRegion(region, operation, `{"LimitDefinition":{"LimitClass":"OTHER","Attributes":{"Category":"UserUpdate"}},"RequestedLimitValue":30}`)
			want.Contains(w, got, "Member must satisfy enum value set: [API_CATEGORY]")
		}
		_, got := w.inRegion(region, "GetProvisionedLimit", definition("UserUpdate", ""))
		want.Equal(w, got, limitText("UserUpdate", 25, 25))
	})
}

// TestProvisionedLimitIsEnforced has two nodes on one database: what is set at one holds at the other within a second.
func TestProvisionedLimitIsEnforced(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		const region = "eu-west-6"
		node := func() *dispatch.Limiter {
			l := dispatch.NewLimiter(dispatch.Rates{Categories: api.DefaultLimits()}, w.clock)
			l.Provisioned, l.Log = dispatch.ProvisionedIn(w.store), w.pipeline.Log
			return l
		}
		w.pipeline.Limits = node()
		second := node()
		// A second later a bucket is full, whatever its rate is.
		allowed := func(l *dispatch.Limiter) (ok int) {
			w.clock.Advance(time.Second)
			for range 400 {
				if l.Allow(w.Context(), api.AdminDisableUser.Spec, region, w.pool.ID, "") == nil {
					ok++
				}
			}
			return ok
		}
		want.Equal(w, []int{allowed(w.pipeline.Limits), allowed(second)}, []int{25, 25})
		_, answer := w.inRegion(region, "UpdateProvisionedLimit", definition("UserUpdate", `,"RequestedLimitValue":100`))
		want.Equal(w, answer, limitText("UserUpdate", 100, 25))
		allowed(w.pipeline.Limits) // notices, and fills up
		allowed(second)
		want.Equal(w, []int{allowed(w.pipeline.Limits), allowed(second)}, []int{100, 100})
		// One call a second of the category that these operations are in.
		_, answer = w.inRegion(region, "GetProvisionedLimit", definition("UserUpdate", ""))
		want.Equal(w, answer, limitText("UserUpdate", 100, 25))
		for _, operation := range []string{"GetProvisionedLimit", "UpdateProvisionedLimit"} {
			_, answer = w.inRegion(region, operation, definition("UserUpdate", `,"RequestedLimitValue":100`))
			want.Equal(w, answer, "TooManyRequestsException: Rate exceeded")
		}
	})
}
