package clients_test

import "testing"

// TestBoto3 runs every built operation, with every documented member, through boto3.
func TestBoto3(t *testing.T) {
	t.Parallel()
	s := dev(t)
	scenarios(t, s.client(t, python(), "python/operations.py"))
}

// TestBoto3Verified runs the scenarios of callers against a server that verifies signatures.
func TestBoto3Verified(t *testing.T) {
	t.Parallel()
	s := verified(t)
	scenarios(t, s.client(t, python(), "python/callers.py"))
}

// TestBoto3People leads users through their lives.
func TestBoto3People(t *testing.T) {
	t.Parallel()
	s := dev(t)
	scenarios(t, s.client(t, python(), "python/people.py"))
}

// TestBoto3SignIn signs users in with the administrator's operations.
func TestBoto3SignIn(t *testing.T) {
	t.Parallel()
	s := dev(t)
	scenarios(t, s.client(t, python(), "python/sign_in.py"))
}
