package dispatch

import (
	"strings"

	"github.com/poolhouse/poolhouse/api"
)

// CustomIDPrefix stands before the id in the name of an app client that asks for it: LocalStack's convention.
const CustomIDPrefix = "_custom_id_:"

// takeCustomID takes the prefix off a client's name and returns the id that stands behind it. It runs before the
// constraints are looked at, because a name may not hold a colon: so they see the id in place of the name.
func takeCustomID(in any) string {
	var name *string
	switch in := in.(type) {
	case *api.CreateUserPoolClientInput:
		name = &in.ClientName
	case *api.UpdateUserPoolClientInput:
		name = in.ClientName
	}
	if name == nil {
		return ""
	}
	id, ok := strings.CutPrefix(*name, CustomIDPrefix)
	if !ok {
		return ""
	}
	*name = id
	return id
}
