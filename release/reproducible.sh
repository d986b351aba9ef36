#!/usr/bin/env bash
# Makes the release of this commit once more, from a copy of the source in another folder, with
# nothing compiled before, and compares it with the one that is there.
#
#   reproducible.sh DIST
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[ $# -eq 1 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2; }
[ -e "$1/SHA256SUMS" ] || { echo "release: there is no release in $1: make release" >&2; exit 1; }
dist=$(cd "$1" && pwd)
unset RELEASE_BINARIES
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git -C "$root" diff --quiet HEAD || { echo "release: there are changes that are in no commit" >&2; exit 1; }

git clone --quiet --no-hardlinks "$root" "$work/source"
CARGO_TARGET_DIR=$work/compiled "$work/source/release/dist.sh" all "$work/dist"
diff "$dist/SHA256SUMS" "$work/dist/SHA256SUMS" || {
	echo "release: the second build differs from $dist" >&2
	exit 1
}
echo "release: two builds, the same bytes:" >&2
cat "$dist/SHA256SUMS"
