#!/usr/bin/env bash
# Fails and names the files if Go source is not formatted. `make format`, which is this script with -w, formats it.
set -euo pipefail
cd "$(dirname "$0")/.."

sources() { find . -name node_modules -prune -o -path './.?*' -prune -o -name '*.go' -print0; }

if [ "${1:-}" = -w ]; then
	# A little stricter than gofmt, whose output it keeps.
	sources | xargs -0 go tool -modfile=tools/go.mod gofumpt -l -w
	exit
fi
unformatted=$(sources | xargs -0 gofmt -l)
if [ -n "$unformatted" ]; then
	printf 'Not formatted (make format does it):\n%s\n' "$unformatted" >&2
	exit 1
fi
