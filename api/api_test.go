package api_test

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// TestOperations holds that all operations are described, each with what the pipeline needs of it.
func TestOperations(t *testing.T) {
	t.Parallel()
	all := api.All()
	if len(all) != 140 {
		t.Fatalf("%d operations are described, want 140", len(all))
	}
	auth := map[api.Auth]int{}
	for _, s := range all {
		if found, ok := api.ByName(s.Name); !ok || found != s {
			t.Errorf("%s is not found by its name", s.Name)
		}
		auth[s.Auth]++
		if s.In == nil || s.In.Kind != api.Structure || s.Quota == "" {
			t.Errorf("%s: input %v, quota %q", s.Name, s.In, s.Quota)
		}
		if s.Pool >= 0 && s.In.Members[s.Pool].Name != "UserPoolId" || s.User >= 0 && s.In.Members[s.User].Name != "Username" {
			t.Errorf("%s: pool %d, user %d", s.Name, s.Pool, s.User)
		}
		if strings.HasPrefix(s.Name, "Admin") != (s.Auth == api.IAM) && strings.HasPrefix(s.Name, "Admin") {
			t.Errorf("%s needs %s", s.Name, s.Auth)
		}
		for _, code := range s.Errors {
			if code == "" {
				t.Errorf("%s lists an empty exception", s.Name)
			}
		}
	}
	if auth[api.IAM] != 105 || auth[api.Token] != 22 || auth[api.Public] != 13 {
		t.Errorf("callers: %v", auth)
	}
	if _, ok := api.ByName("adminGetUser"); ok {
		t.Error("names are case-sensitive")
	}
	if !api.AdminUpdateUserAttributes.Lists(fault.AliasExistsException) || api.AdminUpdateUserAttributes.Lists(fault.CodeMismatchException) {
		t.Error("AdminUpdateUserAttributes has another list of exceptions")
	}
	for name, reads := range map[string]bool{"AdminGetUser": true, "ListUsers": true, "GetUserAttributeVerificationCode": false, "AdminUpdateUserAttributes": false, "GetClientToken": true, "CreateUserPool": false} {
		if s, _ := api.ByName(name); s.Writes == reads {
			t.Errorf("%s: Writes is %t", name, s.Writes)
		}
	}
}

// TestFields holds what the codec relies on: the fields of a Go type are the members of its shape, in the same order.
func TestFields(t *testing.T) {
	t.Parallel()
	check(t, api.AdminUpdateUserAttributes.In, reflect.TypeFor[api.AdminUpdateUserAttributesInput]())
	check(t, api.CreateUserPool.In, reflect.TypeFor[api.CreateUserPoolInput]())
	check(t, api.CreateUserPool.Out, reflect.TypeFor[api.CreateUserPoolOutput]())
	check(t, api.SetRiskConfiguration.In, reflect.TypeFor[api.SetRiskConfigurationInput]())
	check(t, api.CreateManagedLoginBranding.In, reflect.TypeFor[api.CreateManagedLoginBrandingInput]())
	check(t, api.AdminInitiateAuth.In, reflect.TypeFor[api.AdminInitiateAuthInput]())
}

func check(t *testing.T, s *api.Shape, typ reflect.Type) {
	t.Helper()
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice && s.Kind == api.List || typ.Kind() == reflect.Map {
		if typ.Kind() != reflect.Pointer {
			s = s.Elem
		}
		typ = typ.Elem()
	}
	if s.Kind != api.Structure {
		return
	}
	if typ.NumField() != len(s.Members) {
		t.Fatalf("%s has %d members, %s %d fields", s.Name, len(s.Members), typ, typ.NumField())
	}
	for i, m := range s.Members {
		if !strings.EqualFold(typ.Field(i).Name, m.Name) {
			t.Errorf("%s: field %d is %s, member %s", s.Name, i, typ.Field(i).Name, m.Name)
		}
		check(t, m.Shape, typ.Field(i).Type)
	}
}

// TestPatterns compares the patterns that are matched by tables with the regular expressions that they stand for.
func TestPatterns(t *testing.T) {
	t.Parallel()
	seen := map[*api.Pattern]bool{}
	var walk func(s *api.Shape)
	walk = func(s *api.Shape) {
		if s == nil {
			return
		}
		if s.Pattern != nil && !seen[s.Pattern] && !strings.Contains(s.Pattern.Text, "?<!") {
			seen[s.Pattern] = true
			re := regexp.MustCompile(`^(?:` + strings.TrimSuffix(strings.TrimPrefix(s.Pattern.Text, "^"), "$") + `)$`)
			for _, text := range []string{"", "a", "A_1", " ", "a b", "a-b", "ü", "日本", "\u00a0", "\u2028", "a\nb", "\t", "us-east-1_Ab1", "abc", "!", "\"", "\x7f", "\ue000", "😀", "a.", "import-1", "0123456789", "+1", "x@y", "{####}", "a{####}b"} {
				if got, want := s.Pattern.Match(text), re.MatchString(text); got != want {
					t.Errorf("%s: %q matches %q: %t, want %t", s.Name, s.Pattern.Text, text, got, want)
				}
			}
		}
		walk(s.Elem)
		walk(s.Key)
		for _, m := range s.Members {
			walk(m.Shape)
		}
	}
	for _, s := range api.All() {
		walk(s.In)
	}
	if len(seen) < 40 {
		t.Errorf("only %d patterns were compared", len(seen))
	}
	bucket := api.SetLogDeliveryConfiguration.In.Members[1].Shape.Elem
	arn := bucket.Members[bucket.Member("S3Configuration")].Shape
	if arn.Member("BucketArn") < 0 {
		t.Fatalf("members of %s changed", arn.Name)
	}
}
