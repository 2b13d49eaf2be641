#!/usr/bin/env bash
# Lists every fuzz target of the repository and fuzzes them in turn, each for FUZZTIME (a Go duration, 1m if unset). It stops at the first
# that fails; the input that failed is then a file under testdata/fuzz of its package, and a test case of every later run.
set -euo pipefail
cd "$(dirname "$0")/.."

targets=$(go list ./... | while read -r pkg; do
	go test -list '^Fuzz' "$pkg" | sed -n "/^Fuzz/s|^|$pkg |p"
done)
count=$(wc -l <<<"$targets")
printf '%s\n%s targets, %s each\n' "$targets" "$count" "${FUZZTIME:-1m}"

# Minimising an interesting input takes a minute where nothing bounds it, and the target would wait for that.
while read -r pkg target; do
	printf '\n== %s %s\n' "$pkg" "$target"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-1m}" -fuzzminimizetime 20x "$pkg" </dev/null
done <<<"$targets"
printf '\n%s targets fuzzed, 0 failed\n' "$count"
