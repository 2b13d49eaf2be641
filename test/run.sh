#!/usr/bin/env bash
# The whole test run: what `make test` does. Fastest first, so that a slip shows early; the closing line is "N passed, N failed".
#
# It starts one PostgreSQL server for all tests and ends it, and leaves nothing behind but caches and test/clients/node_modules.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

step prerequisites
# shellcheck source=test/prerequisites.sh
. test/prerequisites.sh
go version
node --version
"$POOLHOUSE_TEST_PYTHON" --version

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

step format
test/format.sh

step build without cgo
CGO_ENABLED=0 go build -trimpath ./...

step lint
test/lint.sh

step generated files are fresh
test/fresh.sh

step JavaScript clients
test/npm.sh

step tests
go build -o "$scratch/" ./test/pgrun ./test/count
packages=$(go list ./... | grep -v '/internal/archtest$')
# Tests named TestWalk send thousands of requests, one after the other: the race detector would see nothing there and take ten times as
# long. They run without it, in a pass of their own.
walked=$(git grep -l '^func TestWalk' -- '*_test.go' | xargs -n 1 dirname | sort -u | sed 's|^|./|')
# The rules of the house before the long haul, and nothing more if they are broken. The rest with the race detector, which alone needs
# cgo. No result comes from the cache: many tests run programs whose changes Go cannot see.
{
	go test -json -count=1 -timeout 2m ./internal/archtest
	# shellcheck disable=SC2086 # one argument for each package
	CGO_ENABLED=1 "$scratch/pgrun" go test -json -race -skip '^TestWalk' -count=1 -timeout 20m $packages || failed=$?
	# shellcheck disable=SC2086
	"$scratch/pgrun" go test -json -run '^TestWalk' -count=1 -timeout 20m $walked
	exit "${failed:-0}"
} | "$scratch/count"
