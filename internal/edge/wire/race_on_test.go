//go:build race

package wire_test

// slow is by how much the race detector slows down what TestHeavy measures.
const slow = 10
