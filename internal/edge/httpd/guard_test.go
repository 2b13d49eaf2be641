package httpd

import (
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func TestIsRegion(t *testing.T) {
	t.Parallel()
	for name, is := range map[string]bool{
		"us-east-1": true, "eu-central-2": true, "us-gov-west-1": true, "us-iso-b-east-1": true, "xx-y-0": true,
		"": false, "us": false, "us-1": false, "us--1": false, "us-east": false, "us-east-": false, "us-east-12": false, "us-east-a": false,
		"US-east-1": false, "u-east-1": false, "usa-east-1": false, "us-e1st-1": false, "us-east--1": false, "us--east-1": false, "-us-east-1": false, "us-east-1.evil": false,
		"*": false, "us-éast-1": false,
	} {
		want.True(t, isRegion(name) == is, "isRegion(%q) is %v", name, is)
	}
}

func TestPoolIDs(t *testing.T) {
	t.Parallel()
	given := []string{"us-east-1_a", "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_b"}
	want.Equal(t, poolIDs(given), []string{"us-east-1_a", "us-east-1_b"})
	want.Equal(t, given[1], "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_b")
	want.Equal(t, poolIDs(nil), nil)
	want.Equal(t, poolIDs([]string{"us-east-1_a", "*"}), nil)
	want.Equal(t, poolIDs([]string{"us-east-1_*"}), []string{"us-east-1_*"}) // which no pool is called
}
