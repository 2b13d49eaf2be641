package ops_test

import (
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func TestTags(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		arn := `"ResourceArn":"` + w.pool.ARN() + `"`
		tags := func() string { return l.ok("ListTagsForResource", "{"+arn+"}") }
		want.Equal(w.T, tags(), `{"Tags":{}}`)
		w.clock.Advance(time.Second)
		want.Equal(w.T, l.do("TagResource", "{"+arn+`,"Tags":{"b":"2","a":"1"}}`), settled{"{}", "TagResource a b"}, unexported)
		want.Equal(w.T, l.do("TagResource", "{"+arn+`,"Tags":{"b":"","c":"3"}}`), settled{"{}", "TagResource b c"}, unexported)
		want.Equal(w.T, tags(), `{"Tags":{"a":"1","b":"","c":"3"}}`)
		want.Equal(w.T, l.do("UntagResource", "{"+arn+`,"TagKeys":["z","a"]}`), settled{"{}", "UntagResource a z"}, unexported)
		answer := l.ok("DescribeUserPool", `{"UserPoolId":"$pool"}`)
		want.Contains(w.T, answer, `"UserPoolTags":{"b":"","c":"3"}`)
		want.Contains(w.T, answer, `"LastModifiedDate":1767323045.678`)

		l.refused("TagResource", "{"+arn+`,"Tags":{"a\u0000":""}}`, invalid("The value of Tags contains the null character."))
		l.refused("TagResource", "{"+arn+`,"Tags":{"a":"\u0000"}}`, invalid("The value of Tags contains the null character."))
		l.refused("UntagResource", "{"+arn+`,"TagKeys":["a","\u0000"]}`, invalid("The value of TagKeys contains the null character."))
		l.refused("TagResource", "{"+arn+`,"Tags":{"aws:x":"1"}}`, invalid("The tag key aws:x is not valid: keys that start with aws: are reserved."))
		l.refused("TagResource", "{"+arn+`,"Tags":{"":"1"}}`, invalid("1 validation error detected: Value '{=1}' at 'tags' failed to satisfy constraint: "+
			"Map keys must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]"))
		l.refused("TagResource", "{"+arn+`,"Tags":`+manyTags()+`}`, invalid("A user pool cannot have more than 50 tags."))
		want.Equal(w.T, tags(), `{"Tags":{"b":"","c":"3"}}`)
	})
}

// manyTags are 49 tags.
func manyTags() string {
	text := "{"
	for _, id := range clientIDs[:49] {
		text += `"` + id + `":"",`
	}
	return text[:len(text)-1] + "}"
}

func TestTagsOfNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		for operation, rest := range map[string]string{"ListTagsForResource": "", "TagResource": `,"Tags":{"a":"b"}`, "UntagResource": `,"TagKeys":["a"]`} {
			l.refused(operation, `{"ResourceArn":"arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_none"`+rest+`}`,
				"ResourceNotFoundException: User pool us-east-1_none does not exist.")
			l.refused(operation, `{"ResourceArn":"arn:aws:sns:us-east-1:123456789012:topic"`+rest+`}`, invalid("Invalid resource ARN: arn:aws:sns:us-east-1:123456789012:topic"))
		}
	})
}
