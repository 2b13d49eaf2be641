#!/usr/bin/env bash
# Installs the JavaScript libraries that test/clients drives, unless they are there already for this very lock file.
set -euo pipefail
cd "$(dirname "$0")/clients"

mark=node_modules/.lock-hash
hash=$(sha256sum <package-lock.json)
if [ -e "$mark" ] && [ "$(cat "$mark")" = "$hash" ]; then
	exit 0
fi
npm ci --no-audit --no-fund --ignore-scripts --loglevel=error </dev/null
echo "$hash" >"$mark"
