//go:build !race

package wire_test

const slow = 1
