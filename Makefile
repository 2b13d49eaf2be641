# What one does here. `make` alone lists the targets; `make test` is the whole test run and what CI calls.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The Go of this machine, never one that the go command downloads.
export GOTOOLCHAIN := local

# Packages for `make unit` and `make race`, as in: make unit PKG=./internal/domain/...
PKG ?= ./...
# More flags for `make bench`.
BENCH ?=
# Time for each fuzz target, rounds of `make repeat`, and the size of `make soak`.
FUZZTIME ?= 1m
ROUNDS ?= 20
MINUTES ?= 60
KILLS ?= 1000

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

.PHONY: build
build: ## build the static binary ./poolhouse
	CGO_ENABLED=0 go build -trimpath -o poolhouse ./cmd/poolhouse

.PHONY: test
test: ## everything that CI checks, with a closing line "N passed, 0 failed"; installs what is missing if it runs as root
	@test/run.sh

.PHONY: unit
unit: ## the tests of PKG without the race detector, from the cache where possible
	go run ./test/pgrun go test -timeout 10m $(PKG)

.PHONY: race
race: ## the tests of PKG with the race detector, but for the long walks by a single goroutine
	CGO_ENABLED=1 go run ./test/pgrun go test -race -skip '^TestWalk' -timeout 15m $(PKG)

.PHONY: lint
lint: ## gofmt, go vet, staticcheck
	@test/format.sh
	@test/lint.sh

.PHONY: format
format: ## format the Go source, a little more strictly than gofmt
	@test/format.sh -w

.PHONY: generate
generate: ## write the generated code and the generated pages of docs/reference
	go generate ./...

.PHONY: docs
docs: generate ## the same: the generated pages come from the same sources as the code

.PHONY: fresh
fresh: ## regenerate, and fail if anything was stale
	@test/fresh.sh

# What is measured by `make bench`.
MEASURED = AdminUpdateUserAttributes,AdminGetUser,ListUsers,AdminCreateUser,SignUp,UpdateUserAttributes,VerifyUserAttribute,GetUser,InitiateAuth/refresh,InitiateAuth/password,InitiateAuth/SRP

.PHONY: bench
bench: build ## measure everything on this machine, 15 minutes, and write docs/reference/performance.md; BENCH=--large adds a million users
	@mkdir -p .cache
	go run ./test/pgrun -durable bash -c 'POOLHOUSE_BENCH_POSTGRES=$$POOLHOUSE_TEST_PG_DSN \
		./poolhouse bench --operations $(MEASURED) --users 100000 --folder .cache --report docs/reference/performance.md $(BENCH)'

.PHONY: fuzz
fuzz: ## fuzz every target for FUZZTIME each
	@FUZZTIME=$(FUZZTIME) test/fuzz.sh

.PHONY: soak
soak: build ## hours: MINUTES of half load, which must leave the server level, then KILLS kills, the other faults, and make fuzz
	@mkdir -p .cache
	go run ./test/soak -binary ./poolhouse -folder .cache -for $(MINUTES)m
	CHAOS_TIMES=1 CHAOS_ROUNDS=$(KILLS) CHAOS_USERS=100000 go test -v -count=1 -timeout 24h -run Kill9 ./test/chaos
	CHAOS_TIMES=1 CHAOS_ROUNDS=100 go test -v -count=1 -timeout 24h -skip Kill9 ./test/chaos
	@FUZZTIME=$(FUZZTIME) test/fuzz.sh

.PHONY: repeat
repeat: ## the tests of PKG, ROUNDS times over in random order with the race detector, to find the rare failure
	CGO_ENABLED=1 go run ./test/pgrun go test -race -skip '^TestWalk' -shuffle=on -count=$(ROUNDS) -timeout 4h $(PKG)

.PHONY: release
release: ## build the binaries of all platforms with their sums into dist/
	@test/release.sh

.PHONY: clean
clean: ## remove what the other targets built
	rm -rf poolhouse dist test/clients/node_modules
