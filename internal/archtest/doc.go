// Package archtest holds the rules that a compiler does not: which room may import which, which calls and libraries belong to one
// place, what every file must be. They run as ordinary tests, first of all in `make test`, and each says why it exists when it breaks.
//
// tables.go has everything a change of the architecture touches: change a row there in the commit that needs it, and say why. rules.go
// has the rules themselves, as functions from parsed files to findings; each is also fed a sample that it must refuse.
package archtest
