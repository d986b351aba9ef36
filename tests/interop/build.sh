#!/usr/bin/env bash
# Builds `holder`, a client-go leader elector, once for each version of this folder, and prints its path. A second call
# costs nothing.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
key=$(cat "$here/go.mod" "$here/go.sum" "$here/main.go" "$here/build.sh" | sha256sum | cut -c1-16)
folder=${ELECTION_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/election-operator}/interop-$key
holder=$folder/holder
mkdir -p "$folder"
say() { echo "interop: $*" >&2; }

# One builder at a time; whoever waits finds the work done.
exec 9>"$folder/.lock"
flock 9
if [ ! -x "$holder" ]; then
	command -v go >/dev/null || { say "Go 1.26 or newer is needed to build the client-go elector"; exit 1; }
	say "building the client-go elector into $folder; a minute on two cores, once"
	(cd "$here" && go build -trimpath -ldflags "-s -w" -o "$holder.part" .)
	mv "$holder.part" "$holder"
fi
echo "$holder"
