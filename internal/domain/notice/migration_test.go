package notice_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

func TestMigrationEvent(t *testing.T) {
	t.Parallel()
	p := &pool.Pool{ID: "us-east-1_AbCdEf123", Region: "us-east-1"}
	b, err := notice.MigrationEvent(p, "Jane <j@x.io>", map[string]string{"k": "v"}, notice.CallerOf("", "app")).JSON()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"version":"1","region":"us-east-1","userPoolId":"us-east-1_AbCdEf123","userName":"Jane <j@x.io>",` +
		`"callerContext":{"awsSdkVersion":"aws-sdk-unknown-unknown","clientId":"app"},"triggerSource":"UserMigration_ForgotPassword",` +
		`"request":{"validationData":null,"clientMetadata":{"k":"v"},"userAttributes":null},` +
		`"response":{"userAttributes":null,"forceAliasCreation":null,"enableSMSMFA":null,"finalUserStatus":null,"messageAction":null,"desiredDeliveryMediums":null}}`
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseMigration(t *testing.T) {
	t.Parallel()
	sms := []notice.Medium{notice.SMS}
	for response, want := range map[string]notice.Migration{
		`{}`: {Status: user.ResetRequired, Media: sms},
		`{"userAttributes":null,"finalUserStatus":null,"messageAction":null,"desiredDeliveryMediums":null,"forceAliasCreation":null,"enableSMSMFA":null}`: {Status: user.ResetRequired, Media: sms},
		`{"userAttributes":{},"finalUserStatus":"","messageAction":"","desiredDeliveryMediums":[]}`:                                                       {Status: user.ResetRequired, Media: sms},
		`{"userAttributes":{"email":"a@x.io","name":null},"finalUserStatus":"CONFIRMED","messageAction":"SUPPRESS","desiredDeliveryMediums":["EMAIL","SMS","EMAIL"],"forceAliasCreation":true,"enableSMSMFA":true}`: {
			Attributes: map[string]string{"email": "a@x.io"}, Status: user.Confirmed, Suppress: true,
			Media: []notice.Medium{notice.Email, notice.SMS}, ForceAlias: true, SMSFactor: true},
		`{"userattributes":{"email":"a@x.io"},"FinalUserStatus":"CONFIRMED"}`: {Status: user.ResetRequired, Media: sms},
	} {
		got, err := notice.ParseMigration([]byte(response))
		if err != nil {
			t.Errorf("%s: %v", response, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", response, diff)
		}
	}
	for _, response := range []string{`null`, `[]`, `{"userAttributes":[]}`, `{"userAttributes":{"email_verified":true}}`, `{"userAttributes":"a"}`,
		`{"finalUserStatus":"UNCONFIRMED"}`, `{"finalUserStatus":true}`, `{"messageAction":"RESEND"}`, `{"desiredDeliveryMediums":["FAX"]}`,
		`{"desiredDeliveryMediums":"SMS"}`, `{"forceAliasCreation":"true"}`, `{"enableSMSMFA":1}`} {
		if m, err := notice.ParseMigration([]byte(response)); fault.CodeOf(err) != fault.InvalidLambdaResponseException {
			t.Errorf("%s: %+v, %v", response, m, err)
		}
	}
}

// FuzzParseMigration holds that no answer of a function does harm, and that what is taken is of the few allowed values.
func FuzzParseMigration(f *testing.F) {
	for _, seed := range []string{`{}`, `null`, `{"userAttributes":{"a":"b"},"finalUserStatus":"CONFIRMED","desiredDeliveryMediums":["EMAIL"]}`, `{"userAttributes":{"a":null}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, response []byte) {
		m, err := notice.ParseMigration(response)
		if err != nil {
			if fault.CodeOf(err) != fault.InvalidLambdaResponseException {
				t.Errorf("%v", err)
			}
			return
		}
		if m.Status != user.Confirmed && m.Status != user.ResetRequired || len(m.Media) == 0 || len(m.Media) > 2 {
			t.Errorf("%+v", m)
		}
	})
}
