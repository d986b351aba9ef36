#!/usr/bin/env bash
# Builds the program of the last release, once, and prints the folder with it (election-operator) and its
# chart (chart). The last release is the newest tag v1.2.3 before this commit. Until there is one, it is a
# build of 0.1.0 that this file names.
#
# Exit code 3: the history is not here. Standard error says how to get it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${ELECTION_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/election-operator}
# The last commit before routing.
unreleased=8f8c83a
say() { echo "last: $*" >&2; }

last=$(git -C "$root" describe --tags --abbrev=0 --match 'v[0-9]*' HEAD^ 2>/dev/null || echo "$unreleased")
commit=$(git -C "$root" rev-parse --verify --quiet "$last^{commit}") || {
	say "the history has no $last: git fetch --unshallow --tags"
	exit 3
}
folder=$cache/last-${commit:0:16}
mkdir -p "$folder"
exec 9>"$folder/.lock"
flock 9
if [ ! -x "$folder/election-operator" ]; then
	say "building $last; some minutes, once"
	rm -rf "$folder/source"
	mkdir "$folder/source"
	git -C "$root" archive "$commit" | tar --extract --directory "$folder/source"
	(cd "$folder/source" &&
		CARGO_TARGET_DIR=$folder/target cargo build --quiet --locked --bin election-operator >&2)
	rm -rf "$folder/chart"
	cp -R "$folder/source/charts/election-operator" "$folder/chart"
	cp "$folder/target/debug/election-operator" "$folder/election-operator.part"
	mv "$folder/election-operator.part" "$folder/election-operator"
	rm -rf "$folder/target" "$folder/source"
fi
echo "$folder"
