package botomodel_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
	"github.com/poolhouse/poolhouse/test/clients/botomodel"
)

type description struct {
	Metadata   map[string]any
	Operations map[string]struct {
		Name, Authtype string
		Input, Output  *struct{ Shape string }
		Errors         []struct{ Shape string }
	}
	Shapes map[string]struct {
		Type               string
		Min, Max           *int
		Enum, Required     []string
		Members            map[string]struct{ Shape string }
		Member, Key, Value *struct{ Shape string }
		Exception, Fault   bool
		Document           bool
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	contract, err := os.ReadFile("../../../api/model.json")
	want.NoError(t, err)
	dir := t.TempDir()
	want.NoError(t, botomodel.Write(dir, contract))
	text, err := os.ReadFile(filepath.Join(dir, "cognito-idp", "2016-04-18", "service-2.json"))
	want.NoError(t, err)
	var d description
	want.NoError(t, json.Unmarshal(text, &d))

	want.Equal(t, len(d.Operations), 140)
	want.Equal(t, d.Metadata["targetPrefix"], any("AWSCognitoIdentityProviderService"))
	want.Equal(t, d.Operations["AdminUpdateUserAttributes"].Authtype, "")
	want.Equal(t, d.Operations["SignUp"].Authtype, "none")
	want.True(t, d.Operations["DeleteUserPool"].Output == nil, "DeleteUserPool has no output")

	attribute := d.Shapes["AttributeType"]
	want.Equal(t, attribute.Required, []string{"Name"})
	want.Equal(t, attribute.Members["Value"].Shape, "AttributeValueType")
	want.Equal(t, *d.Shapes["QueryLimitType"].Max, 60)
	want.Equal(t, d.Shapes["MessageActionType"].Enum, []string{"RESEND", "SUPPRESS"})
	want.Equal(t, d.Shapes["ClientMetadataType"].Value.Shape, "StringType")
	want.True(t, d.Shapes["UserNotFoundException"].Exception && !d.Shapes["UserNotFoundException"].Fault, "UserNotFoundException is the client's fault")
	want.True(t, d.Shapes["InternalErrorException"].Fault, "InternalErrorException is the server's fault")
	want.True(t, d.Shapes["Document"].Document, "Document is raw JSON")

	// A description that points at a shape it does not have breaks botocore only when that shape is used.
	for name, s := range d.Shapes {
		for member, r := range s.Members {
			want.True(t, d.Shapes[r.Shape].Type != "", "%s.%s has a shape that exists: %s", name, member, r.Shape)
		}
		for _, r := range []*struct{ Shape string }{s.Member, s.Key, s.Value} {
			want.True(t, r == nil || d.Shapes[r.Shape].Type != "", "%s has elements that exist", name)
		}
	}
	for name, o := range d.Operations {
		want.True(t, d.Shapes[o.Input.Shape].Type == "structure", "the input of %s exists", name)
		want.True(t, o.Output == nil || d.Shapes[o.Output.Shape].Type == "structure", "the output of %s exists", name)
		for _, e := range o.Errors {
			want.True(t, d.Shapes[e.Shape].Exception, "%s of %s is an exception", e.Shape, name)
		}
	}
}

func TestWriteRefusesWhatIsNoContract(t *testing.T) {
	t.Parallel()
	want.Error(t, botomodel.Write(t.TempDir(), []byte("{")), nil)
}
