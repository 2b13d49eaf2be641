package ops_test

import (
	"testing"

	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func TestGetUser(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		u := w.addUser("jane", map[string]string{"email": "a@x.io"})
		got := w.call("GetUser", `{"AccessToken":"`+w.access(u)+`"}`)
		want.Equal(w, got, `{"Username":"jane","UserAttributes":[{"Name":"sub","Value":"`+u.Sub+`"},{"Name":"email","Value":"a@x.io"}]}`)
		_ = user.Confirmed
		_ = store.ErrNotFound
	})
}
