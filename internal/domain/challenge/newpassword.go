package challenge

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
)

// attributePrefix stands before the names of attributes in the parameters and answers of NewPasswordRequired.
const attributePrefix = "userAttributes."

// MissingAttributes are the required attributes that a user lacks, in the schema's order.
func MissingAttributes(p *pool.Pool, r *user.Record) []string {
	return slices.DeleteFunc(slices.Clone(p.Required()), func(name string) bool { return r.Attributes[name] != "" })
}

// NewPasswordParameters are the parameters of NewPasswordRequired: what the user has of what the client may read, and what has to be
// given with the new password. Lists and objects are JSON in a text.
func NewPasswordParameters(p *pool.Pool, c *pool.Client, r *user.Record) (map[string]string, error) {
	required := []string{}
	for _, name := range MissingAttributes(p, r) {
		required = append(required, attributePrefix+name)
	}
	attributes := maps.Clone(r.Attributes)
	maps.DeleteFunc(attributes, func(name, _ string) bool { return !c.Reads(&p.Settings, name) })
	list, err1 := json.Marshal(required)
	object, err2 := json.Marshal(attributes)
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("write attributes: %w, %w", err1, err2)
	}
	return map[string]string{"requiredAttributes": string(list), "userAttributes": string(object)}, nil
}

// GivenAttributes are the attributes in an answer to NewPasswordRequired, in the order of their names.
func GivenAttributes(answer map[string]string) (values []user.Value) {
	for _, key := range slices.Sorted(maps.Keys(answer)) {
		if name, ok := strings.CutPrefix(key, attributePrefix); ok {
			text := answer[key]
			values = append(values, user.Value{Name: name, Text: &text})
		}
	}
	return values
}
