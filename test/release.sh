#!/usr/bin/env bash
# Builds the binaries of a release into dist/: one static file for each platform, its list of modules, and the sums of all.
set -euo pipefail
cd "$(dirname "$0")/.."

rm -rf dist
mkdir dist
for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64; do
	os=${platform%/*} arch=${platform#*/}
	file=dist/poolhouse_${os}_$arch
	[ "$os" = windows ] && file+=.exe
	echo "$file"
	CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -ldflags='-s -w' -o "$file" ./cmd/poolhouse
	go version -m "$file" | sed "1s|.*|$(basename "$file")|" >"$file.modules.txt"
done
(cd dist && sha256sum -- * >SHA256SUMS)
