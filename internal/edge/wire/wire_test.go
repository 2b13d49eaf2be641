package wire_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/edge/wire"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func TestDialectOf(t *testing.T) {
	t.Parallel()
	for header, answer := range map[string]string{
		"application/x-amz-json-1.1":                "application/x-amz-json-1.1",
		"application/x-amz-json-1.0":                "application/x-amz-json-1.0",
		"Application/X-Amz-Json-1.1; charset=utf-8": "application/x-amz-json-1.1",
		"application/json":                          "application/json",
		" application/json ;charset=UTF-8":          "application/json",
		"":                                          "",
		"text/plain":                                "",
		"text/plain; application/json":              "",
		"text/plain, application/json":              "",
		"application/json, text/plain":              "",
		"application/x-www-form-urlencoded":         "",
		"multipart/form-data; boundary=x":           "",
		"application/jsonp":                         "",
		"application/x-amz-json-1.2":                "",
	} {
		d, got, ok := wire.DialectOf(header)
		if got != answer || ok != (answer != "") || ok && (d == wire.Plain) != (answer == "application/json") {
			t.Errorf("%q: got %v %q %v, wanted %q", header, d, got, ok, answer)
		}
	}
}

func TestName(t *testing.T) {
	t.Parallel()
	const service = "AWSCognitoIdentityProviderService."
	for _, tt := range []struct {
		name    string
		dialect wire.Dialect
		target  []string
		path    string
		query   string
		want    string
		unnamed bool
	}{
		{name: "header", target: []string{service + "ListUsers"}, path: "/", want: "ListUsers"},
		{name: "header without a prefix", target: []string{"ListUsers"}, path: "/"},
		{name: "header in another case", target: []string{strings.ToLower(service) + "ListUsers"}, path: "/"},
		{name: "header of another service", target: []string{"AWSCognitoIdentityService.GetId"}, path: "/"},
		{name: "empty header", target: []string{""}, path: "/"},
		{name: "two headers", target: []string{service + "ListUsers", service + "ListUsers"}, path: "/"},
		{name: "aws: none", path: "/", unnamed: true},
		{name: "aws: query does not count", path: "/", query: "X-Amz-Target=" + service + "ListUsers", unnamed: true},
		{name: "aws: path does not count", path: "/" + service + "ListUsers", unnamed: true},

		{name: "plain: header", dialect: wire.Plain, target: []string{service + "ListUsers"}, path: "/", want: "ListUsers"},
		{name: "plain: query", dialect: wire.Plain, path: "/", query: "X-Amz-Target=" + service + "ListUsers", want: "ListUsers"},
		{name: "plain: query without a prefix", dialect: wire.Plain, path: "/", query: "X-Amz-Target=ListUsers"},
		{name: "plain: action", dialect: wire.Plain, path: "/", query: "a=b&Action=ListUsers", want: "ListUsers"},
		{name: "plain: path", dialect: wire.Plain, path: "/" + service + "ListUsers", want: "ListUsers"},
		{name: "plain: escaped hash", dialect: wire.Plain, path: "/#X-Amz-Target=" + service + "ListUsers", want: "ListUsers"},
		{name: "plain: header before query", dialect: wire.Plain, target: []string{service + "A"}, path: "/" + service + "C", query: "Action=B", want: "A"},
		{name: "plain: query before path", dialect: wire.Plain, path: "/" + service + "C", query: "Action=B", want: "B"},
		{name: "plain: target before action", dialect: wire.Plain, path: "/", query: "Action=B&X-Amz-Target=" + service + "A", want: "A"},
		{name: "plain: an empty header still counts", dialect: wire.Plain, target: []string{""}, path: "/", query: "Action=B"},
		{name: "plain: a query that cannot be read", dialect: wire.Plain, path: "/", query: "X-Amz-Target=%zz"},
		{name: "plain: none", dialect: wire.Plain, path: "/", unnamed: true},
		{name: "plain: a query about something else", dialect: wire.Plain, path: "/", query: "debug=1", unnamed: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, named := wire.Name(tt.dialect, tt.target, tt.path, tt.query)
			want.Equal(t, got, tt.want)
			want.Equal(t, named, !tt.unnamed)
		})
	}
}

func TestKnownPath(t *testing.T) {
	t.Parallel()
	for path, known := range map[string]bool{
		"/": true, "/AWSCognitoIdentityProviderService.ListUsers": true, "/#X-Amz-Target=AWSCognitoIdentityProviderService.ListUsers": true,
		"": false, "*": false, "/index.html": false, "//": false, "/#": false, "/ListUsers": false, "/x/AWSCognitoIdentityProviderService.ListUsers": false,
	} {
		want.True(t, wire.KnownPath(path) == known, "KnownPath(%q) is %v", path, known)
	}
}

// FuzzPlainNaming holds that naming never invents an operation: what comes out stands in the request, and the header
// is stronger than anything else.
func FuzzPlainNaming(f *testing.F) {
	f.Add("AWSCognitoIdentityProviderService.ListUsers", true, "/", "")
	f.Add("", false, "/AWSCognitoIdentityProviderService.AdminGetUser", "Action=ListUsers")
	f.Add("", false, "/#X-Amz-Target=AWSCognitoIdentityProviderService.AdminGetUser", "%zz&;")
	f.Add("", false, "/", "X-Amz-Target=AWSCognitoIdentityProviderService.AdminGetUser")
	f.Fuzz(func(t *testing.T, header string, sent bool, path, query string) {
		var target []string
		if sent {
			target = []string{header}
		}
		name, named := wire.Name(wire.Plain, target, path, query)
		if !named && (name != "" || sent) {
			t.Fatalf("got %q although nothing names it, or no name although the header is there", name)
		}
		decoded, err := url.QueryUnescape(query)
		switch {
		case name == "":
		case sent && !strings.HasSuffix(header, name):
			t.Fatalf("%q is not what the header says", name)
		case !sent && !strings.HasSuffix(path, name) && (err != nil || !strings.Contains(decoded, name)):
			t.Fatalf("%q stands nowhere in the request", name)
		}
		if _, known := api.ByName(name); known && sent && header != "AWSCognitoIdentityProviderService."+name {
			t.Fatalf("the header %q names %s", header, name)
		}
		aws, _ := wire.Name(wire.AWS, target, path, query)
		if !sent && aws != "" {
			t.Fatalf("the AWS dialect found %q outside the header", aws)
		}
	})
}
