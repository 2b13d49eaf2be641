#!/usr/bin/env bash
# The checkers, each silent when there is nothing to say. Their versions stand in tools/go.mod.
set -euo pipefail
cd "$(dirname "$0")/.."

go vet ./...
go tool -modfile=tools/go.mod staticcheck ./...
