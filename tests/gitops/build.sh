#!/usr/bin/env bash
# Builds `gitops`, which asks GitOps tools about objects, once for each version of this folder, and prints its path. A
# second call costs nothing.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
key=$(cat "$here/go.mod" "$here/go.sum" "$here/main.go" "$here/build.sh" | sha256sum | cut -c1-16)
folder=${ELECTION_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/election-operator}/gitops-$key
mkdir -p "$folder"
say() { echo "gitops: $*" >&2; }

# One builder at a time; whoever waits finds the work done.
exec 9>"$folder/.lock"
flock 9
if [ ! -x "$folder/gitops" ]; then
	command -v go >/dev/null || { say "Go 1.26 or newer is needed"; exit 1; }
	say "building into $folder; a minute on two cores, once"
	(cd "$here" && go build -trimpath -ldflags "-s -w" -o "$folder/gitops.part" .)
	mv "$folder/gitops.part" "$folder/gitops"
fi
echo "$folder/gitops"
