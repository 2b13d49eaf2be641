package archtest

// module is the path of this module; imports below it are ours.
const module = "github.com/poolhouse/poolhouse"

// A room is a folder with everything below it. A file belongs to the longest room that matches.
// It may import the rooms listed in may, and its own room if within is set.
type room struct {
	path   string
	may    []string
	within bool
	why    string
}

var rooms = []room{
	{"internal/kit", nil, false, "the leaves stand alone, so that anyone can use one without the others"},
	{"api", []string{"internal/kit"}, true, "the contract is data and knows no code but the leaves"},
	{"internal/domain", []string{"internal/kit"}, true, "rules are pure: values in, values out (see domainRank for the order inside)"},
	{"internal/port", []string{"internal/kit", "internal/domain"}, true, "a port speaks of the domain and not of who uses or implements it"},
	{"internal/service/dispatch", []string{"api", "internal/kit", "internal/domain", "internal/port"}, true, "the pipeline knows no operation"},
	{"internal/service/tokens", []string{"api", "internal/kit", "internal/domain", "internal/port"}, true, "signing knows no operation"},
	{"internal/service/messages", []string{"api", "internal/kit", "internal/domain", "internal/port", "internal/service/dispatch"}, false, "carrying messages knows no operation"},
	{"internal/service", []string{"api", "internal/kit", "internal/domain", "internal/port", "internal/service/dispatch", "internal/service/tokens", "internal/service/messages"}, false, "an application package knows the pipeline and the ports, not its neighbours or an adapter"},
	{"internal/edge", []string{"internal/kit", "api", "internal/service"}, true, "the edge turns bytes into calls and decides nothing about users"},
	{"internal/adapter", []string{"internal/kit", "internal/domain", "internal/port"}, false, "an adapter implements a port and knows nobody who uses it"},
	{"internal/config", []string{"internal/kit"}, false, "settings are one struct that everybody may read"},
	{"internal/app", []string{"api", "internal", "web"}, true, "the composition root puts everything together"},
	{"internal/cli", []string{"api", "internal/kit", "internal/domain", "internal/port", "internal/service", "internal/edge", "internal/config", "internal/app"}, true, "commands use what app has put together; only app imports adapters"},
	{"internal/testing", []string{"api", "internal", "poolhousetest"}, true, "helpers of tests may use anything, and only tests may use them"},
	{"internal/archtest", nil, true, "the rules depend on nothing they judge"},
	{"cmd", []string{"internal/cli"}, false, "main hands its arguments to cli"},
	{"poolhousetest", []string{"internal/app", "internal/kit", "internal/config"}, false, "the public helper starts what app has put together"},
	{"web", nil, false, "templates and files, no code of ours"},
	{"test", []string{"api", "internal", "poolhousetest"}, true, "tests and their programs may use anything"},
}

// domainRank orders the packages of the domain: each may import those of a lower rank only.
var domainRank = map[string]int{
	"pool":   0,
	"user":   1,
	"verify": 2, "credential": 2, "device": 2, "federate": 2, "risk": 2, "brand": 2, "importing": 2, "notice": 2,
	"token":     3,
	"challenge": 4,
}

// forbiddenImports lists what a room must not import from the standard library or elsewhere, tests excepted.
var forbiddenImports = []struct {
	room    string
	imports []string
	why     string
}{
	{"internal/domain", []string{"net/http", "database/sql", "os", "log/slog", "crypto/rand", "math/rand", "math/rand/v2", "context"}, "rules are pure: no I/O, no clock, no chance"},
	{"internal/service/ops", []string{"net/http", "encoding/json", "database/sql", "github.com/go-json-experiment/json", "github.com/jackc/pgx/v5"}, "an operation sees values; the edge has the bytes and the store has the SQL"},
	{"internal/service", []string{"database/sql"}, "SQL lives in the store's adapter"},
	{"internal/edge", []string{"database/sql"}, "SQL lives in the store's adapter"},
	{"internal/port", []string{"net/http", "database/sql"}, "a port names no way to implement it"},
}

// A reserved thing may be used in the listed places only. Each place has its reason.
type reserved struct {
	what   []string // "import path" or "import path.Name"
	why    string
	places map[string]string
}

// Test files, internal/testing and test/ are free of these.
var reservedThings = []reserved{
	{
		[]string{"time.Now", "time.Since", "time.Until"},
		"time comes from clock.Clock, so that tests and the dev server can move it",
		map[string]string{"internal/kit/clock": "it is the clock", "internal/app/bench": "a load generator measures durations below a millisecond"},
	},
	{
		[]string{"math/rand", "math/rand/v2"},
		"randomness is for secrets here, and comes from chance.Source",
		map[string]string{"internal/kit/chance": "the seeded source, which is refused outside dev mode and tests"},
	},
	{
		[]string{"crypto/rand"},
		"randomness comes from chance.Source, so that tests can seed it",
		map[string]string{"internal/kit/chance": "it is the source"},
	},
	{
		[]string{"net/http.DefaultClient", "net/http.Get", "net/http.Post", "net/http.PostForm", "net/http.Head", "net/http.DefaultServeMux", "net/http.Handle", "net/http.HandleFunc", "net/http.ListenAndServe", "net/http.ListenAndServeTLS"},
		"a client or server has time-outs of its own, and is passed to who uses it",
		nil,
	},
	{
		[]string{"fmt.Print", "fmt.Printf", "fmt.Println"},
		"output goes to a writer or a logger that one is given; the command line hands out the process's own",
		nil,
	},
	{
		[]string{"context.Background", "context.TODO"},
		"a context comes from the caller, so that deadlines and marks reach everything",
		map[string]string{
			"internal/app": "the process starts here", "internal/cli": "the process starts here",
			"poolhousetest": "a test's server starts here",
		},
	},
	{
		[]string{"os.Exit", "log.Fatal", "log.Fatalf", "log.Fatalln"},
		"only main ends the process: anything else returns an error, and deferred work is done",
		map[string]string{"cmd": "it is main", "api/gen": "it is a main package"},
	},
}

// A library may be imported below the listed places only. The libraries of tests may be imported by test files, internal/testing and
// test/ too.
type library struct {
	path   string // module path
	why    string
	places []string // none: tests alone
}

var libraries = []library{
	{"github.com/alecthomas/kong", "command-line parsing with help that reads like a manual", []string{"internal/cli"}},
	{"github.com/goccy/go-yaml", "configuration and --apply files, with positions in errors", []string{"internal/config", "internal/app"}},
	{"modernc.org/sqlite", "the embedded database without cgo", []string{"internal/adapter/sqlstore"}},
	{"github.com/VictoriaMetrics/fastcache", "copies of rows outside the heap that the collector walks", []string{"internal/adapter/sqlstore"}},
	{"github.com/jackc/pgx/v5", "the PostgreSQL driver", []string{"internal/adapter/sqlstore", "internal/testing/pgtest"}},
	{"github.com/pressly/goose/v3", "numbered migrations", []string{"internal/adapter/sqlstore"}},
	{"golang.org/x/sys", "the file lock on Windows", []string{"internal/adapter/sqlstore"}},
	{"github.com/go-json-experiment/json", "strict JSON: duplicate members, letter case, depth", []string{"internal/edge/wire"}},
	{"github.com/prometheus/client_golang", "the metrics endpoint", []string{"internal/edge/httpd"}},
	{"github.com/wneessen/go-mail", "SMTP with TLS and authentication", []string{"internal/adapter/mailer"}},
	{"github.com/aws/aws-sdk-go-v2", "credentials and signatures for the APIs of AWS", []string{"internal/kit/awssign"}},
	{"golang.org/x/crypto", "Argon2id, which the standard library lacks", []string{"internal/kit/argon2id"}},
	{"golang.org/x/time", "the token bucket of the quotas", []string{"internal/service/dispatch"}},

	{"github.com/aws/smithy-go", "the errors of the AWS SDK", nil},
	{"github.com/google/go-cmp", "differences in the messages of tests", nil},
	{"pgregory.net/rapid", "random walks that shrink", nil},
	{"github.com/rogpeppe/go-internal", "scripts that test the command line, txtar", nil},
	{"github.com/emersion/go-smtp", "the server that receives the mails of tests", nil},
	{"github.com/emersion/go-sasl", "authentication of that server", nil},
}

// emptyNames are package names that say nothing about what lives there.
var emptyNames = []string{"util", "utils", "common", "misc", "model", "models", "types", "base", "manager", "helper", "helpers", "shared"}

// foreign are texts that no committed file may contain: they mean nothing on another machine. They are written in two parts, or this
// file would break the rule itself.
var foreign = []string{
	".." + "/shared", "/work" + "/",
	"registry." + "npmjs", "registry." + "yarnpkg", "proxy." + "golang.org", "sum." + "golang.org", "deb." + "debian.org",
}
