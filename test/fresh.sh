#!/usr/bin/env bash
# Regenerates everything that is generated and fails if that changes, adds or removes a file.
set -euo pipefail
cd "$(dirname "$0")/.."

snapshot() {
	git ls-files -co --exclude-standard -- ':(glob)**/zz_*' docs/reference | sort -u | while read -r file; do
		if [ -e "$file" ]; then
			sha256sum "$file"
		fi
	done
}

before=$(snapshot)
go generate ./...
after=$(snapshot)
if [ "$before" != "$after" ]; then
	echo "Generated files were stale, and are fresh now; commit them:" >&2
	diff <(echo "$before") <(echo "$after") | sed -n 's/^[<>] [0-9a-f]*  /  /p' | sort -u >&2
	exit 1
fi
