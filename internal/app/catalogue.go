package app

import "github.com/poolhouse/poolhouse/internal/service/dispatch"

// Built returns a function that reports whether this server carries out an operation, or only describes it.
func Built() func(operation string) bool {
	registry := dispatch.NewRegistry()
	for _, family := range new(App).families() {
		family.Register(registry)
	}
	return registry.Built
}
