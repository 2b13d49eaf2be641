package clients_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// aws runs the AWS CLI and returns what it printed, which must be JSON or nothing.
func (s *server) aws(t *testing.T, args ...string) map[string]any {
	t.Helper()
	out := succeed(t, s.client(t, "aws", s.awsArgs(args)...))
	var answer map[string]any
	if strings.TrimSpace(out) != "" {
		want.NoError(t, json.Unmarshal([]byte(out), &answer))
	}
	return answer
}

// awsArgs names the endpoint by a flag: the AWS CLI of years ago does not read AWS_ENDPOINT_URL.
func (s *server) awsArgs(args []string) []string {
	return append([]string{"cognito-idp", args[0], "--endpoint-url", s.Endpoint, "--output", "json"}, args[1:]...)
}

// awsText runs the AWS CLI with --query and returns the one value that it asks for.
func (s *server) awsText(t *testing.T, query string, args ...string) string {
	t.Helper()
	args = append(s.awsArgs(args), "--query", query)
	return strings.TrimSpace(strings.Trim(strings.TrimSpace(succeed(t, s.client(t, "aws", args...))), `"`))
}

// awsRefused runs the AWS CLI, which must fail and say exactly this.
func (s *server) awsRefused(t *testing.T, exception, operation, message string, args ...string) {
	t.Helper()
	r := finish(t, s.client(t, "aws", s.awsArgs(args)...))
	wanted := fmt.Sprintf("An error occurred (%s) when calling the %s operation: %s", exception, operation, message)
	if said := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(r.stderr), "aws: [ERROR]: ")); r.code == 0 || said != strings.TrimSpace(wanted) {
		t.Fatalf("%s\nended with code %d and said:\n%s\nwanted:\n%s", strings.Join(args, " "), r.code, r.stderr, wanted)
	}
}

// attributes reads a user's attributes.
func (s *server) attributes(t *testing.T, pool, user string) map[string]string {
	t.Helper()
	all := map[string]string{}
	list, ok := s.aws(t, "admin-get-user", "--user-pool-id", pool, "--username", user)["UserAttributes"].([]any)
	want.True(t, ok, "the user has a list of attributes")
	for _, one := range list {
		pair, ok := one.(map[string]any)
		want.True(t, ok, "an attribute is an object")
		all[fmt.Sprint(pair["Name"])] = fmt.Sprint(pair["Value"])
	}
	return all
}

func TestAWSCLI(t *testing.T) {
	t.Parallel()
	s := dev(t)
	pool := s.awsText(t, "UserPool.Id", "create-user-pool", "--pool-name", "cli", "--auto-verified-attributes", "email",
		"--schema", "Name=tier,AttributeDataType=String,Mutable=true", "Name=ref,AttributeDataType=String,Mutable=false",
		"--user-pool-tags", "stage=test")
	for _, name := range []string{"ann", "ben", "cleo"} {
		s.aws(t, "admin-create-user", "--user-pool-id", pool, "--username", name, "--message-action", "SUPPRESS",
			"--user-attributes", "Name=email,Value="+name+"@example.com", "Name=email_verified,Value=true")
	}

	t.Run("update", func(t *testing.T) {
		t.Parallel()
		got := s.aws(t, "admin-update-user-attributes", "--user-pool-id", pool, "--username", "ann",
			"--user-attributes", "Name=nickname,Value=Annie", "Name=custom:tier,Value=gold", "--client-metadata", "k=v")
		want.Equal(t, len(got), 0)
		attributes := s.attributes(t, pool, "ann")
		want.Equal(t, attributes["nickname"], "Annie")
		want.Equal(t, attributes["custom:tier"], "gold")
		want.Equal(t, attributes["email"], "ann@example.com")
		want.Equal(t, attributes["email_verified"], "true")

		s.aws(t, "admin-delete-user-attributes", "--user-pool-id", pool, "--username", "ann", "--user-attribute-names", "nickname")
		_, kept := s.attributes(t, pool, "ann")["nickname"]
		want.True(t, !kept, "the nickname is gone")
	})

	t.Run("list", func(t *testing.T) {
		t.Parallel()
		want.Equal(t, s.awsText(t, "Users[0].Username", "list-users", "--user-pool-id", pool, "--filter", `email ^= "ben@"`), "ben")
		// The CLI follows the pages by itself.
		want.Equal(t, s.awsText(t, "length(Users)", "list-users", "--user-pool-id", pool, "--page-size", "2"), "3")
		want.Equal(t, s.awsText(t, "length(Users[0].Attributes)", "list-users", "--user-pool-id", pool, "--attributes-to-get", "email",
			"--limit", "1"), "1")
	})

	t.Run("tags", func(t *testing.T) {
		t.Parallel()
		arn := s.awsText(t, "UserPool.Arn", "describe-user-pool", "--user-pool-id", pool)
		s.aws(t, "tag-resource", "--resource-arn", arn, "--tags", "team=blue")
		s.aws(t, "untag-resource", "--resource-arn", arn, "--tag-keys", "stage")
		want.Equal(t, s.aws(t, "list-tags-for-resource", "--resource-arn", arn), map[string]any{"Tags": map[string]any{"team": "blue"}})
	})

	t.Run("clients", func(t *testing.T) {
		t.Parallel()
		id := s.awsText(t, "UserPoolClient.ClientId", "create-user-pool-client", "--user-pool-id", pool, "--client-name", "web")
		want.Equal(t, s.awsText(t, "UserPoolClient.ClientType", "describe-user-pool-client", "--user-pool-id", pool, "--client-id", id), "REGULAR")
		want.Equal(t, s.awsText(t, "UserPoolClients[0].ClientId", "list-user-pool-clients", "--user-pool-id", pool), id)
		s.aws(t, "delete-user-pool-client", "--user-pool-id", pool, "--client-id", id)
	})

	t.Run("refusals", func(t *testing.T) {
		t.Parallel()
		const op = "AdminUpdateUserAttributes"
		update := func(attribute string) []string {
			return []string{"admin-update-user-attributes", "--user-pool-id", pool, "--username", "cleo", "--user-attributes", attribute}
		}
		s.awsRefused(t, "InvalidParameterException", op, "user.custom:nope: Attribute does not exist in the schema.", update("Name=custom:nope,Value=1")...)
		s.awsRefused(t, "InvalidParameterException", op, "user.custom:ref: Attribute cannot be updated.", update("Name=custom:ref,Value=1")...)
		s.awsRefused(t, "InvalidParameterException", op, "Invalid phone number format.", update("Name=phone_number,Value=555")...)
		s.awsRefused(t, "InvalidParameterException", op,
			"1 validation error detected: Value '"+strings.Repeat("n", 33)+"' at 'userAttributes.1.member.name' failed to satisfy constraint: "+
				"Member must have length less than or equal to 32", update("Name="+strings.Repeat("n", 33)+",Value=1")...)
		s.awsRefused(t, "UserNotFoundException", op, "User does not exist.",
			"admin-update-user-attributes", "--user-pool-id", pool, "--username", "nobody", "--user-attributes", "Name=name,Value=x")
		s.awsRefused(t, "ResourceNotFoundException", "DescribeUserPool", "User pool us-east-1_000000000 does not exist.",
			"describe-user-pool", "--user-pool-id", "us-east-1_000000000")
		s.awsRefused(t, "UnsupportedOperationException", "GetSigningCertificate", "The operation GetSigningCertificate is described here and not built yet.",
			"get-signing-certificate", "--user-pool-id", pool)
	})
}

// TestAWSCLIVerified shows who is refused by a server that verifies signatures.
func TestAWSCLIVerified(t *testing.T) {
	t.Parallel()
	s := verified(t)
	pool := s.awsText(t, "UserPool.Id", "create-user-pool", "--pool-name", "verified")
	s.aws(t, "admin-create-user", "--user-pool-id", pool, "--username", "ann", "--message-action", "SUPPRESS")

	t.Run("wrong secret", func(t *testing.T) {
		t.Parallel()
		wrong := s.as(key{ID: s.AccessKeyID, Secret: "x" + s.SecretAccessKey[1:]})
		wrong.awsRefused(t, "InvalidSignatureException", "DescribeUserPool", "The request signature we calculated does not match the signature "+
			"you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
			"describe-user-pool", "--user-pool-id", pool)
	})
	t.Run("unknown key", func(t *testing.T) {
		t.Parallel()
		wrong := s.as(key{ID: "AKIA0000000000000000", Secret: s.SecretAccessKey})
		wrong.awsRefused(t, "UnrecognizedClientException", "DescribeUserPool", "The security token included in the request is invalid.",
			"describe-user-pool", "--user-pool-id", pool)
	})
	t.Run("another region", func(t *testing.T) {
		t.Parallel()
		// The region of the signature decides where a pool is made and which are listed.
		there := s.awsText(t, "UserPool.Id", "create-user-pool", "--pool-name", "there", "--region", "eu-west-1")
		want.True(t, strings.HasPrefix(there, "eu-west-1_"), "%s is a pool of eu-west-1", there)
		want.Equal(t, s.awsText(t, "UserPools[].Id | [0]", "list-user-pools", "--max-results", "60", "--region", "eu-west-1"), there)
		want.Equal(t, s.awsText(t, "UserPools[].Id | [0]", "list-user-pools", "--max-results", "60"), pool)
	})
	t.Run("action not allowed", func(t *testing.T) {
		t.Parallel()
		reader := s.as(s.createKey(t, "--name", "reader", "--actions", "AdminGet*", "--pools", pool))
		want.Equal(t, reader.awsText(t, "Username", "admin-get-user", "--user-pool-id", pool, "--username", "ann"), "ann")
		r := finish(t, reader.client(t, "aws", reader.awsArgs([]string{"admin-update-user-attributes", "--user-pool-id", pool, "--username", "ann",
			"--user-attributes", "Name=name,Value=x"})...))
		want.True(t, r.code != 0, "a key may not do what it was not made for")
		want.Contains(t, r.stderr, "(AccessDeniedException)")
		want.Contains(t, r.stderr, "is not authorized to perform: cognito-idp:AdminUpdateUserAttributes on resource: ")
		want.Equal(t, s.attributes(t, pool, "ann")["name"], "")
	})
	t.Run("pool not allowed", func(t *testing.T) {
		t.Parallel()
		other := s.as(s.createKey(t, "--name", "other", "--pools", "us-east-1_000000000"))
		r := finish(t, other.client(t, "aws", other.awsArgs([]string{"admin-get-user", "--user-pool-id", pool, "--username", "ann"})...))
		want.True(t, r.code != 0, "a key may not touch a pool that it was not made for")
		want.Contains(t, r.stderr, "(AccessDeniedException)")
		want.Contains(t, r.stderr, "is not authorized to perform: cognito-idp:AdminGetUser on resource: arn:aws:cognito-idp:us-east-1:000000000000:userpool/"+pool)
	})
	t.Run("deleted key", func(t *testing.T) {
		t.Parallel()
		k := s.createKey(t, "--name", "short")
		short := s.as(k)
		want.Equal(t, short.awsText(t, "UserPool.Id", "describe-user-pool", "--user-pool-id", pool), pool)
		succeed(t, command(t, binary, "keys", "delete", k.ID, "--data", s.Data))
		short.awsRefused(t, "UnrecognizedClientException", "DescribeUserPool", "The security token included in the request is invalid.",
			"describe-user-pool", "--user-pool-id", pool)
	})
}

// as returns the server as a caller with another key sees it.
func (s *server) as(k key) *server {
	return &server{Endpoint: s.Endpoint, Region: s.Region, Data: s.Data, AccessKeyID: k.ID, SecretAccessKey: k.Secret}
}
