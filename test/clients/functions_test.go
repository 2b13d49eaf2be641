package clients_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

// functions plays the three functions of custom sign-ins, and returns where they answer. After an SRP exchange, if the client began
// with one, they ask a riddle. Who answers wrong three times is out.
func functions(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var event map[string]any
		var e struct {
			Source  string `json:"triggerSource"`
			Request struct {
				Session []challengeResult `json:"session"`
				Private map[string]string `json:"privateChallengeParameters"`
				Answer  string            `json:"challengeAnswer"`
			} `json:"request"`
		}
		var text json.RawMessage
		if json.NewDecoder(r.Body).Decode(&text) != nil || json.Unmarshal(text, &event) != nil || json.Unmarshal(text, &e) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		switch e.Source {
		case "DefineAuthChallenge_Authentication":
			event["response"] = nextChallenge(e.Request.Session)
		case "CreateAuthChallenge_Authentication":
			event["response"] = map[string]any{"publicChallengeParameters": map[string]string{"question": "What opens the cave?"},
				"privateChallengeParameters": map[string]string{"answer": "sesame"}, "challengeMetadata": "RIDDLE"}
		case "VerifyAuthChallengeResponse_Authentication":
			event["response"] = map[string]any{"answerCorrect": e.Request.Answer == e.Request.Private["answer"]}
		default:
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(event) // a server that went away asks again
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// A challengeResult is how a challenge of a sign-in ended.
type challengeResult struct {
	Name  string `json:"challengeName"`
	Right bool   `json:"challengeResult"`
}

// nextChallenge is what follows a history of challenges: the response of the function that defines it.
func nextChallenge(history []challengeResult) map[string]any {
	wrong, next := 0, "CUSTOM_CHALLENGE"
	for _, one := range history {
		if !one.Right {
			wrong++
		}
	}
	if n := len(history); n > 0 {
		switch last := history[n-1]; {
		case last.Name == "SRP_A":
			next = "PASSWORD_VERIFIER"
		case last.Name == "PASSWORD_VERIFIER" && !last.Right, wrong == 3:
			return map[string]any{"issueTokens": false, "failAuthentication": true}
		case last.Name == "CUSTOM_CHALLENGE" && last.Right:
			return map[string]any{"issueTokens": true, "failAuthentication": false}
		}
	}
	return map[string]any{"challengeName": next, "issueTokens": false, "failAuthentication": false}
}
