package pool

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// maxTags is how many tags a pool may have (documented).
const maxTags = 50

// checkTags looks at the whole set of a pool's tags. The operations on pools and those on tags answer different codes
// (unconfirmed): the former have an exception of their own for it.
func checkTags(tags map[string]string, code fault.Code) error {
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		if len(key) >= 4 && strings.EqualFold(key[:4], "aws:") {
			return fault.ReservedTag(code, key)
		}
	}
	if len(tags) > maxTags {
		return fault.TooManyTags(code, strconv.Itoa(maxTags))
	}
	return nil
}

// AddTags is the pool's tags with more, in a new map.
func (s *Settings) AddTags(more map[string]string) (map[string]string, error) {
	tags := maps.Clone(s.Tags)
	if tags == nil {
		tags = make(map[string]string, len(more))
	}
	maps.Copy(tags, more)
	return tags, checkTags(tags, fault.InvalidParameterException)
}

// RemoveTags is the pool's tags without some, in a new map. Keys that it does not have are no error.
func (s *Settings) RemoveTags(keys []string) map[string]string {
	tags := maps.Clone(s.Tags)
	for _, key := range keys {
		delete(tags, key)
	}
	return tags
}
