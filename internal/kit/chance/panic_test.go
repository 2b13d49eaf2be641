package chance

import (
	"errors"
	"testing"
	"testing/iotest"
)

func TestBrokenMachinePanics(t *testing.T) {
	t.Parallel()
	broken := iotest.ErrReader(errors.New("no entropy"))
	s := &Source{values: broken, requests: block{from: broken}}
	for name, draw := range map[string]func(){
		"sub": func() { s.Sub() }, "code": func() { s.Code6() }, "request id": func() { s.RequestID() }, "salt": func() { s.Salt() },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: drew a value from a broken source", name)
				}
			}()
			draw()
		}()
	}
}
