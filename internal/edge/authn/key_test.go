package authn_test

import (
	"testing"

	"github.com/poolhouse/poolhouse/internal/edge/authn"
)

func TestAllows(t *testing.T) {
	t.Parallel()
	const (
		pool = "eu-west-1_abc"
		arn  = "arn:aws:cognito-idp:eu-west-1:000000000000:userpool/"
	)
	list := func(s ...string) []string { return s }
	for _, tt := range []struct {
		name           string
		actions, pools []string
		operation      string
		pool           string
		want           bool
	}{
		{"no limits", nil, nil, "AdminGetUser", pool, true},
		{"no limits, no pool", nil, nil, "CreateUserPool", "", true},
		{"star", list("*"), list("*"), "AdminGetUser", pool, true},
		{"full action", list("cognito-idp:AdminGetUser"), nil, "AdminGetUser", pool, true},
		{"bare action", list("AdminGetUser"), nil, "AdminGetUser", pool, true},
		{"another action", list("AdminGetUser"), nil, "AdminDeleteUser", pool, false},
		{"action that begins so", list("AdminGetUser"), nil, "AdminGetUserAuthFactors", pool, false},
		{"prefix", list("AdminGet*"), nil, "AdminGetDevice", pool, true},
		{"full prefix", list("cognito-idp:AdminGet*"), nil, "AdminGetDevice", pool, true},
		{"prefix misses", list("AdminGet*"), nil, "AdminDeleteUser", pool, false},
		{"all of the service", list("cognito-idp:*"), nil, "AdminDeleteUser", pool, true},
		{"another service", list("s3:*"), nil, "AdminDeleteUser", pool, false},
		{"wildcard service", list("*:AdminGetUser"), nil, "AdminGetUser", pool, true},
		{"letter case", list("COGNITO-IDP:admingetuser"), nil, "AdminGetUser", pool, true},
		{"star inside", list("Admin*User"), nil, "AdminGetUser", pool, true},
		{"star inside misses", list("Admin*User"), nil, "AdminGetUsers", pool, false},
		{"several stars", list("*Get*s"), nil, "AdminGetUserAuthFactors", pool, true},
		{"one character", list("Admin???User"), nil, "AdminGetUser", pool, true},
		{"one character misses", list("Admin??User"), nil, "AdminGetUser", pool, false},
		{"second of two", list("ListUsers", "AdminGetUser"), nil, "AdminGetUser", pool, true},
		{"empty pattern", list(""), nil, "AdminGetUser", pool, false},

		{"pool by id", nil, list(pool), "AdminGetUser", pool, true},
		{"another pool", nil, list(pool), "AdminGetUser", "eu-west-1_abd", false},
		{"pool ids keep their case", nil, list(pool), "AdminGetUser", "eu-west-1_ABC", false},
		{"pool by wildcard", nil, list("eu-west-1_*"), "AdminGetUser", pool, true},
		{"pool by ARN", nil, list(arn + "eu-west-1_abc"), "AdminGetUser", pool, true},
		{"another pool by ARN", nil, list(arn + "eu-west-1_abd"), "AdminGetUser", pool, false},
		{"request by ARN", nil, list(pool), "TagResource", arn + "eu-west-1_abc", true},
		{"both by ARN", nil, list(arn + "eu-west-1_abc"), "TagResource", arn + "eu-west-1_abc", true},
		{"ARN with wildcard", nil, list(arn + "*"), "AdminGetUser", pool, true},
		{"ARN with wildcard, another region", nil, list(arn + "*"), "AdminGetUser", "us-east-1_abc", false},
		{"ARN of any region", nil, list("arn:aws:cognito-idp:*:*:userpool/*"), "AdminGetUser", "us-east-1_abc", true},
		{"ARN of a fixed id", nil, list(arn + "fixed"), "AdminGetUser", "fixed", true},
		{"ARN of another service", nil, list("arn:aws:s3:::*"), "AdminGetUser", pool, false},
		{"ARN of another resource", nil, list("arn:aws:cognito-idp:eu-west-1:000000000000:*"), "AdminGetUser", pool, false},
		{"no pool named, limited key", nil, list(pool), "CreateUserPool", "", false},
		{"no pool named, wildcard", nil, list("eu-west-1_*"), "ListUserPools", "", false},
		{"no pool named, wildcard ARN", nil, list(arn + "*"), "ListUserPools", "", false},
		{"no pool named, star", nil, list(pool, "*"), "ListUserPools", "", true},
		{"action right, pool wrong", list("AdminGetUser"), list("other"), "AdminGetUser", pool, false},
		{"action wrong, pool right", list("ListUsers"), list(pool), "AdminGetUser", pool, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key := authn.Key{Actions: tt.actions, Pools: tt.pools}
			if got := key.Allows(tt.operation, tt.pool); got != tt.want {
				t.Errorf("actions %q, pools %q: Allows(%q, %q) = %v", tt.actions, tt.pools, tt.operation, tt.pool, got)
			}
		})
	}
}
