package ops

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func publicCall(change func(p *pool.Pool, c *pool.Client)) *dispatch.Call {
	p, c := &pool.Pool{ID: "us-east-1_Abc"}, &pool.Client{ID: "client", PoolID: "us-east-1_Abc"}
	if change != nil {
		change(p, c)
	}
	return &dispatch.Call{Spec: api.ConfirmSignUp.Spec, Now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Pool: p, Client: c}
}

func hash(key, message string) *secret.Text {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(message))
	text := secret.New(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return &text
}

func TestCheckSecretHash(t *testing.T) {
	t.Parallel()
	open := publicCall(nil)
	want.NoError(t, checkSecretHash(open, "jane", nil))
	want.NoError(t, checkSecretHash(open, "jane", hash("s", "whatever")))
	two := publicCall(func(_ *pool.Pool, c *pool.Client) {
		c.Secrets = []pool.ClientSecret{{Value: secret.New("old")}, {Value: secret.New("new")}}
	})
	want.NoError(t, checkSecretHash(two, "jane", hash("old", "janeclient")))
	want.NoError(t, checkSecretHash(two, "jane", hash("new", "janeclient")))
	want.Error(t, checkSecretHash(two, "jane", nil), fault.SecretHashMissing("client"))
	empty := secret.New("")
	for _, given := range []*secret.Text{&empty, hash("other", "janeclient"), hash("new", "Janeclient"), hash("new", "clientjane"), hash("new", "jane")} {
		want.Error(t, checkSecretHash(two, "jane", given), fault.SecretHashWrong("client"))
	}
	// A vector from the command: printf %s janeclient | openssl dgst -sha256 -hmac new -binary | base64
	vector := secret.New("yvd07rBODvPA9xcS17QZQ3KxUaOLK2qtkxLdWo3gUhk=")
	want.NoError(t, checkSecretHash(two, "jane", &vector))
}

func TestDecoys(t *testing.T) {
	t.Parallel()
	_, err := NewDecoys([]byte("short"))
	want.True(t, err != nil && !strings.Contains(err.Error(), "short"), "%v", err)
	one, err := NewDecoys([]byte("0123456789abcdef0123456789abcdef"))
	want.NoError(t, err)
	again, err := NewDecoys([]byte("0123456789abcdef0123456789abcdef"))
	want.NoError(t, err)
	other, err := NewDecoys([]byte("0123456789abcdef0123456789abcdeX"))
	want.NoError(t, err)

	insensitive := publicCall(nil).Pool
	sensitive := &pool.Pool{ID: insensitive.ID, Settings: pool.Settings{CaseSensitive: true}}
	s := one.Subject(insensitive, "jane")
	want.Equal(t, again.Subject(insensitive, "JANE"), s)
	want.True(t, one.Subject(sensitive, "JANE") != s, "in a pool that heeds case")
	want.True(t, other.Subject(insensitive, "jane") != s, "under another key")
	want.True(t, one.Subject(&pool.Pool{ID: "us-east-1_Other"}, "jane") != s, "in another pool")
	want.True(t, !strings.Contains(s, "jane"), "the name shows: %s", s)

	show := func(d *Decoys, c *dispatch.Call, name string) string {
		x := d.Delivery(c, name)
		return fmt.Sprintf("%s %s %s", *x.DeliveryMedium, *x.AttributeName, *x.Destination)
	}
	byEmail := publicCall(func(p *pool.Pool, _ *pool.Client) { p.AutoVerified = []string{pool.Email} })
	want.Equal(t, show(one, byEmail, "jane@example.com"), "EMAIL email j***@e***")
	want.Equal(t, show(one, byEmail, "+15555559934"), "SMS phone_number +*******9934")
	// Invented destinations are the same every time, and different for different names, as real ones are.
	seen := map[string]bool{}
	for i := range 200 {
		name := fmt.Sprintf("user%d", i)
		mail, phone := show(one, byEmail, name), show(one, publicCall(nil), name)
		want.Equal(t, []string{show(again, byEmail, name), show(again, publicCall(nil), strings.ToUpper(name))}, []string{mail, phone})
		want.True(t, len(mail) == len("EMAIL email j***@e***") && len(phone) == len("SMS phone_number +*******9934"), "%s %s", mail, phone)
		seen[mail], seen[phone] = true, true
	}
	want.True(t, len(seen) > 200, "%d different destinations for 200 names", len(seen))
	elsewhere := publicCall(func(p *pool.Pool, c *pool.Client) { p.AutoVerified, c.ID = []string{pool.Email}, "client2" })
	differ := false
	for i := range 20 {
		name := fmt.Sprintf("user%d", i)
		differ = differ || show(one, byEmail, name) != show(one, elsewhere, name)
	}
	want.True(t, differ, "two clients invent the same destinations")
}
