#!/usr/bin/env bash
# Makes sure that everything the whole test run needs is on this machine, and prints a line for what it installs.
#
# As root on a Debian-like system it installs what is missing. Otherwise it changes nothing, says what is missing and how to get it,
# and fails. It is to be sourced: it exports POOLHOUSE_TEST_PYTHON, the Python that has boto3.

# A program counts as present when it runs: version managers leave behind names that lead nowhere.
runs() { "$@" >/dev/null 2>&1 </dev/null; }

has_postgresql() {
	local found
	for found in /usr/lib/postgresql/*/bin/initdb; do
		[ -x "$found" ] && return
	done
	runs initdb --version
}

# The first Python that has boto3: the one in the PATH may belong to a version manager, beside the system's with the system's packages.
find_python() {
	local candidate
	for candidate in ${POOLHOUSE_TEST_PYTHON:+"$POOLHOUSE_TEST_PYTHON"} python3 /usr/bin/python3; do
		if runs "$candidate" -c 'import boto3'; then
			POOLHOUSE_TEST_PYTHON=$(command -v "$candidate")
			export POOLHOUSE_TEST_PYTHON
			return
		fi
	done
	return 1
}

# The C compiler is for the race detector, which needs the headers of the C library too.
has_compiler() { echo '#include <stdlib.h>' | ${CC:-gcc} -E - >/dev/null 2>&1; }

# Prints the Debian packages that are missing, on one line.
missing_packages() {
	runs git --version || printf ' git'
	runs curl --version || printf ' curl'
	runs strace -V || printf ' strace'
	has_compiler || printf ' gcc libc6-dev'
	has_postgresql || printf ' postgresql'
	runs node --version || printf ' nodejs'
	runs npm --version || printf ' npm'
	find_python || printf ' python3-boto3'
	runs aws --version || printf ' awscli'
	runs chromium --version || printf ' chromium'
}

if ! runs go version; then
	echo "Missing: Go $(sed -n 's/^go //p' go.mod) or newer. Put its bin folder into the PATH." >&2
	exit 1
fi

missing=$(missing_packages)
if [ -n "$missing" ]; then
	install="apt-get update && apt-get install -y --no-install-recommends$missing"
	if [ "$(id -u)" != 0 ] || ! runs apt-get --version; then
		echo "Missing for the tests:$missing. On Debian or Ubuntu, as root: $install" >&2
		exit 1
	fi
	echo "installing$missing"
	log=$(mktemp)
	if ! DEBIAN_FRONTEND=noninteractive sh -c "$install" >"$log" 2>&1 </dev/null; then
		tail -n 30 "$log" >&2
		echo "Could not install$missing. The command was: $install" >&2
		exit 1
	fi
	rm -f "$log"
	missing=$(missing_packages)
	if [ -n "$missing" ]; then
		echo "Still missing after the installation:$missing" >&2
		exit 1
	fi
fi
find_python # once more in this shell: the search above ran in a subshell
