#!/usr/bin/env bash
# Fails and names the files if Go source is not formatted. `make format` formats it.
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(git ls-files -co --exclude-standard -- '*.go' | xargs -r gofmt -l)
if [ -n "$unformatted" ]; then
	printf 'Not formatted (make format does it):\n%s\n' "$unformatted" >&2
	exit 1
fi
