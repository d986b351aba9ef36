#!/usr/bin/env bash
# Builds the Go program of a folder of tests, once for each version of its source, and prints the program's path. A
# second call costs nothing.
#
#   go-program.sh gitops    asks GitOps tools about objects
#   go-program.sh interop   is a client-go leader elector
set -euo pipefail
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=$1
here=$tests/$name
key=$(cat "$here/go.mod" "$here/go.sum" "$here"/*.go "$tests/go-program.sh" | sha256sum | cut -c1-16)
folder=${ELECTION_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/election-operator}/$name-$key
program=$folder/$name
mkdir -p "$folder"
say() { echo "$name: $*" >&2; }

# One builder at a time. The others wait, and find the work done.
exec 9>"$folder/.lock"
flock 9
if [ ! -x "$program" ]; then
	command -v go >/dev/null || { say "Go 1.26 or newer is needed"; exit 1; }
	say "building into $folder; a minute on two cores, once"
	(cd "$here" && go build -trimpath -ldflags "-s -w" -o "$program.part" .)
	mv "$program.part" "$program"
fi
echo "$program"
