#!/usr/bin/env bash
# Packs the built operator as an image, without a container engine. The image has the binary, the
# libraries it is linked with, and the licence. User, entry point and command are those of release/dist.sh.
#
#   image.sh [--root FOLDER] [--config JSON] BINARY NAME OUT.tar [FILE…]
#
# FILE is another static program. FOLDER has what else shall be in the image: the binary goes into it, too, and finds the
# libraries that are there. JSON is the image's configuration, instead of the one above.
#
# ELECTION_OPERATOR_NODES_KIT names the packer, if it is built already.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root='' config='{"User": "65532:65532", "Entrypoint": ["/election-operator"], "Cmd": ["run"]}'
while true; do
	case ${1:-} in
	--root) root=$2 ;;
	--config) config=$2 ;;
	*) break ;;
	esac
	shift 2
done
[ $# -ge 3 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2; }
binary=$1 name=$2 out=$3
shift 3

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
kit=${ELECTION_OPERATOR_NODES_KIT:-}
if [ -z "$kit" ]; then
	kit=$work/kit
	(cd "$here" && CGO_ENABLED=0 go build -trimpath -o "$kit" ./kit)
fi
[ -n "$root" ] || root=$work/root
mkdir -p "$root"
cp "$binary" "$root/election-operator"
cp "$here/../../LICENSE" "$root/LICENSE"
for file; do cp "$file" "$root/"; done
# A debug build is mostly symbols.
! command -v strip >/dev/null || strip "$root/election-operator"
for library in $(ldd "$binary" | grep -o '/[^ ]*' | sort -u); do
	[ ! -e "$root$library" ] || continue
	mkdir -p "$root${library%/*}"
	cp --dereference "$library" "$root$library"
done
"$kit" image "$out" "$name" "$root" "$config"
