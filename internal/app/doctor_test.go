package app_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/app"
	"github.com/poolhouse/poolhouse/internal/config"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// diagnose returns the findings as lines, the broken ones apart.
func diagnose(t *testing.T, c config.Config) (all, broken string) {
	t.Helper()
	var a, b strings.Builder
	for f := range app.Doctor(t.Context(), c) {
		line := string(f.State) + " " + f.Text + " / " + f.Next + "\n"
		a.WriteString(line)
		if f.State == app.Broken {
			b.WriteString(line)
		}
	}
	return a.String(), b.String()
}

func TestDoctorFindsNothing(t *testing.T) {
	t.Parallel()
	o := options(t)
	all, broken := diagnose(t, o.Config)
	want.Equal(t, broken, "")
	want.Contains(t, all, "no data folder")
	server := start(t, o)
	makePool(t, server.Endpoint(), "")
	o.Config.Listen = strings.TrimPrefix(server.Endpoint(), "http://")
	all, broken = diagnose(t, o.Config)
	want.Equal(t, broken, "")
	for _, line := range []string{"ok the database answers: 1 pools, 0 keys", "has it", "warning there is no access key", "nobody else can read", "makes a write durable", "can be deleted by one call / set DeletionProtection"} {
		want.Contains(t, all, line)
	}
	want.NoError(t, server.stop())
	all, broken = diagnose(t, o.Config)
	want.Equal(t, broken, "")
	want.Contains(t, all, "is free to listen on")
}

func TestDoctorFindsFunctionsThatRunNowhere(t *testing.T) {
	t.Parallel()
	o := options(t)
	server := start(t, o)
	const arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
	status, body := plain(t, server.Endpoint(), "CreateUserPool", "", `{"PoolName":"demo","LambdaConfig":{"PreSignUp":"`+arn+`","CustomMessage":"`+arn+`"}}`)
	want.True(t, status == 200, "the pool is made: %s", body)
	_, broken := diagnose(t, o.Config)
	want.Equal(t, strings.Count(broken, "\n"), 1)
	want.Contains(t, broken, "a pool names the function "+arn)
	o.Config.Triggers.Triggers = map[string]string{"*": "lambda"}
	_, broken = diagnose(t, o.Config)
	want.Equal(t, broken, "")
}

// Attack E1: what an operator made for rights is what users set for themselves, unless the client says otherwise.
func TestDoctorFindsClientsThatWriteCustomAttributes(t *testing.T) {
	t.Parallel()
	o := options(t)
	server := start(t, o)
	created := func(operation, body string) string {
		status, answer := plain(t, server.Endpoint(), operation, "", body)
		want.True(t, status == 200, "%s answers %s", operation, answer)
		return answer
	}
	id := func(answer, member string) string {
		_, rest, _ := strings.Cut(answer, `"`+member+`":"`)
		value, _, ok := strings.Cut(rest, `"`)
		want.True(t, ok, "%s has no %s", answer, member)
		return value
	}
	closed := id(created("CreateUserPool", `{"PoolName":"closed","Schema":[{"Name":"ref","AttributeDataType":"String","Mutable":false}]}`), "Id")
	created("CreateUserPoolClient", `{"UserPoolId":"`+closed+`","ClientName":"web"}`)
	open := id(created("CreateUserPool", `{"PoolName":"open","Schema":[{"Name":"role","AttributeDataType":"String","Mutable":true},{"Name":"note","AttributeDataType":"String","Mutable":true}]}`), "Id")
	of := `{"UserPoolId":"` + open + `","ClientName":"web"`
	created("CreateUserPoolClient", of+`,"GenerateSecret":true}`)
	created("CreateUserPoolClient", of+`,"WriteAttributes":["email"]}`)
	all := id(created("CreateUserPoolClient", of+`}`), "ClientId")
	one := id(created("CreateUserPoolClient", of+`,"WriteAttributes":["email","custom:note"]}`), "ClientId")
	said, broken := diagnose(t, o.Config)
	want.Equal(t, broken, "")
	var found []string
	for line := range strings.Lines(said) {
		if strings.Contains(line, "through public clients") {
			found = append(found, line)
		}
	}
	advice := " / list in WriteAttributes what they may set, and decide nothing by those attributes.\n"
	want.Equal(t, found, []string{
		"warning Pool " + open + " lets its users set custom:note through public clients (" + one + ")" + advice,
		"warning Pool " + open + " lets its users set custom:role, custom:note through public clients (" + all + ")" + advice,
	})
}

func TestDoctorFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	closed := func(t *testing.T) string { // an address where nobody listens
		l, err := net.Listen("tcp", "127.0.0.1:0")
		want.NoError(t, err)
		want.NoError(t, l.Close())
		return l.Addr().String()
	}
	for _, row := range []struct {
		name string
		edit func(*testing.T, *config.Config)
		want string
	}{
		{"settings", func(_ *testing.T, c *config.Config) { c.Account = "1" }, "account"},
		{"modes", func(t *testing.T, c *config.Config) {
			want.NoError(t, os.WriteFile(filepath.Join(c.Data, "copy.db"), nil, 0o600))
			want.NoError(t, os.Chmod(filepath.Join(c.Data, "copy.db"), 0o644))
		}, "others can read"},
		{"key file", func(t *testing.T, c *config.Config) { c.KeyFile = filepath.Join(c.Data, "none") }, "Name the right file in key-file"},
		{"database", func(t *testing.T, c *config.Config) {
			want.NoError(t, os.WriteFile(filepath.Join(c.Data, "poolhouse.db"), []byte("this is no database, but long enough to look at"), 0o600))
		}, "No server starts on this database"},
		{"listener", func(t *testing.T, c *config.Config) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			want.NoError(t, err)
			t.Cleanup(func() { want.NoError(t, l.Close()) })
			c.Listen = l.Addr().String()
		}, "Choose another address"},
		{"certificate", func(t *testing.T, c *config.Config) { c.TLSCert, c.TLSKey = "/nowhere", "/nowhere" }, "load the certificate"},
		{"mail", func(t *testing.T, c *config.Config) { c.SMTPAddress = closed(t) }, "the mail server cannot be reached"},
		{"texts", func(t *testing.T, c *config.Config) { c.SMSWebhook = "http://" + closed(t) + "/sms" }, "the SMS webhook cannot be reached"},
		{"trigger", func(t *testing.T, c *config.Config) {
			c.Triggers.Triggers = map[string]string{"*": "http://" + closed(t)}
		}, "the trigger * cannot be reached"},
		{"trigger that is none", func(t *testing.T, c *config.Config) { c.Triggers.Triggers = map[string]string{"*": "x"} }, "Correct trigger"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := options(t).Config
			want.NoError(t, os.MkdirAll(c.Data, 0o700))
			row.edit(t, &c)
			_, broken := diagnose(t, c)
			want.Contains(t, broken, row.want)
			want.True(t, strings.Count(broken, "\n") == 1, "one thing is broken:\n%s", broken)
		})
	}
}
