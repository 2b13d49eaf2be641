package chance_test

import (
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

var _ io.Reader = (*chance.Source)(nil)

func sources() map[string]*chance.Source {
	return map[string]*chance.Source{"system": chance.System(), "seeded": chance.Seeded(1)}
}

func TestShapes(t *testing.T) {
	t.Parallel()
	for name, s := range sources() {
		for what, c := range map[string]struct {
			draw    func() string
			pattern string
		}{
			"pool id":       {func() string { return s.PoolID("us-east-1") }, `us-east-1_[0-9A-Za-z]{9}`},
			"client id":     {s.ClientID, `[0-9a-v]{26}`},
			"client secret": {s.ClientSecret, `[0-9a-v]{52}`},
			"sub":           {s.Sub, `[0-9a-f]{8}-[0-9a-f]{4}-70[0-9a-f]{2}-[0-9a-f]{4}-[0-9a-f]{12}`},
			"uuid":          {s.UUID, `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`},
			"request id":    {s.RequestID, `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`},
			"token":         {func() string { return s.Token(33) }, `[0-9A-Za-z_-]{44}`},
			"access key":    {func() string { id, secret := s.AccessKey(); return id + " " + secret }, `AKIA[A-Z2-7]{16} [A-Za-z0-9/+]{40}`},
		} {
			whole := regexp.MustCompile(`\A` + c.pattern + `\z`)
			seen := map[string]bool{}
			for range 2000 {
				got := c.draw()
				if !whole.MatchString(got) {
					t.Fatalf("%s %s: %q does not match %s", name, what, got, c.pattern)
				}
				if seen[got] {
					t.Fatalf("%s %s: %q came twice", name, what, got)
				}
				seen[got] = true
			}
		}
		code := regexp.MustCompile(`\A[0-9]{6}\z`)
		for range 2000 {
			if got := s.Code6(); !code.MatchString(got) {
				t.Fatalf("%s code: %q", name, got)
			}
			if got := s.Code8(); !regexp.MustCompile(`\A[0-9]{8}\z`).MatchString(got) {
				t.Fatalf("%s code: %q", name, got)
			}
			if salt := s.Salt(); len(salt) != 16 || salt[0] == 0 {
				t.Fatalf("%s salt: %x", name, salt)
			}
		}
	}
}

// Every position of every text must use its whole alphabet evenly. The seed makes the outcome fixed.
func TestUniform(t *testing.T) {
	t.Parallel()
	s := chance.Seeded(7)
	const draws = 62 * 1000
	for what, c := range map[string]struct {
		draw     func() string
		alphabet int
	}{
		"pool id": {func() string { return strings.TrimPrefix(s.PoolID("r"), "r_") }, 62},
		"code":    {s.Code6, 10},
		"client":  {s.ClientID, 32},
	} {
		var counts []map[byte]int
		for range draws {
			got := c.draw()
			for len(counts) < len(got) {
				counts = append(counts, map[byte]int{})
			}
			for i := range len(got) {
				counts[i][got[i]]++
			}
		}
		want := float64(draws) / float64(c.alphabet)
		for i, at := range counts {
			if len(at) != c.alphabet {
				t.Errorf("%s: position %d used %d characters of %d", what, i, len(at), c.alphabet)
			}
			for char, n := range at {
				if float64(n) < want*0.8 || float64(n) > want*1.2 {
					t.Errorf("%s: position %d drew %q %d times, expected about %.0f", what, i, char, n, want)
				}
			}
		}
	}
}

func TestSeededRepeats(t *testing.T) {
	t.Parallel()
	draw := func(seed uint64, requests int) []string {
		s := chance.Seeded(seed)
		for range requests {
			s.RequestID()
		}
		return []string{s.PoolID("eu-west-1"), s.Sub(), s.Code6(), s.ClientSecret(), s.TemporaryPassword(chance.PasswordShape{})}
	}
	if diff := cmp.Diff(draw(42, 0), draw(42, 1000)); diff != "" {
		t.Errorf("the same seed drew other values, or request ids changed them (-first +second):\n%s", diff)
	}
	if cmp.Equal(draw(42, 0), draw(43, 0)) {
		t.Error("two seeds drew the same values")
	}
	a, b := chance.Seeded(42), chance.Seeded(42)
	for range 600 { // more than one block
		if x, y := a.RequestID(), b.RequestID(); x != y {
			t.Fatalf("request ids of one seed differ: %s, %s", x, y)
		}
	}
}

func TestTemporaryPassword(t *testing.T) {
	t.Parallel()
	const symbols = "-_=:@"
	for name, s := range sources() {
		for bits := range 16 {
			for _, length := range []int{0, 6, 8, 20, 99} {
				p := chance.PasswordShape{Length: length, Upper: bits&1 != 0, Lower: bits&2 != 0, Digit: bits&4 != 0, Symbol: bits&8 != 0}
				for range 20 {
					got := s.TemporaryPassword(p)
					if len(got) != max(length, 8) {
						t.Fatalf("%s %+v: %q has %d characters", name, p, got, len(got))
					}
					lacks := func(class string) bool { return !regexp.MustCompile(class).MatchString(got) }
					if p.Upper && lacks(`[A-Z]`) || p.Lower && lacks(`[a-z]`) || p.Digit && lacks(`[0-9]`) || p.Symbol && lacks(`[-_=:@]`) {
						t.Fatalf("%s %+v: %q lacks a demanded class", name, p, got)
					}
					if strings.ContainsAny(got, "0Oo1lI \"'<>&`$\\") || lacks(`\A[A-Za-z0-9_=:@-]+\z`) {
						t.Fatalf("%s: %q has a character to avoid", name, got)
					}
					if strings.Trim(got, symbols) != got || !p.Symbol && strings.ContainsAny(got, symbols) {
						t.Fatalf("%s %+v: %q has a symbol where none belongs", name, p, got)
					}
				}
			}
		}
	}
}

func TestConcurrentDraws(t *testing.T) {
	t.Parallel()
	for name, s := range sources() {
		var wg sync.WaitGroup
		drawn := make(chan string, 8*1000)
		for range 8 {
			wg.Go(func() {
				for range 500 {
					drawn <- s.RequestID()
					drawn <- s.Sub()
				}
			})
		}
		wg.Wait()
		close(drawn)
		seen := map[string]bool{}
		for id := range drawn {
			if seen[id] {
				t.Fatalf("%s: %s was drawn twice", name, id)
			}
			seen[id] = true
		}
	}
}

func BenchmarkRequestID(b *testing.B) {
	s := chance.System()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			s.RequestID()
		}
	})
}

func BenchmarkSub(b *testing.B) {
	s := chance.System()
	for b.Loop() {
		s.Sub()
	}
}

func TestRequestIDAt(t *testing.T) {
	t.Parallel()
	s := chance.System()
	at := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	shape := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	last := ""
	for i := range 1000 {
		id := s.RequestIDAt(at.Add(time.Duration(i) * time.Millisecond))
		if !shape.MatchString(id) || seen[id] || id <= last {
			t.Fatalf("id %s after %s", id, last)
		}
		seen[id], last = true, id
	}
	if a, b := s.RequestIDAt(at), s.RequestIDAt(at); a == b || a[:13] != b[:13] {
		t.Errorf("two ids of one instant: %s, %s", a, b)
	}
}

func TestFixCodes(t *testing.T) {
	t.Parallel()
	s := chance.Seeded(1)
	s.FixCodes("123456")
	codes := []string{s.FixedCode(), s.Code6(), s.Code8(), s.Code6()}
	want.Equal(t, codes, []string{"123456", "123456", "12345600", "123456"})
	want.Equal(t, chance.System().FixedCode(), "") // a source fixes its own codes alone
	s.FixCodes("")
	fresh := chance.Seeded(1)
	want.Equal(t, []string{s.FixedCode(), s.Code6(), s.Code8()}, []string{"", fresh.Code6(), fresh.Code8()})
}
