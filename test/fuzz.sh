#!/usr/bin/env bash
# Fuzzes every target of the repository in turn, each for FUZZTIME (a Go duration, 1m if unset).
set -euo pipefail
cd "$(dirname "$0")/.."

go list ./... | while read -r pkg; do
	go test -list '^Fuzz' "$pkg" | sed -n '/^Fuzz/p' | while read -r target; do
		printf '\n== %s %s\n' "$pkg" "$target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-1m}" "$pkg" </dev/null
	done || exit
done
