#!/usr/bin/env bash
# Packs Debian's busybox as the image of a name: `wget` and a shell. No other image is pulled for it.
#
#   busybox.sh NAME OUT.tar      as: busybox.sh busybox:1.37 out.tar
#
# ELECTION_OPERATOR_NODES_KIT names the packer. Exit code 3: the package cannot be had. Standard error says why.
set -euo pipefail
[ $# -eq 2 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2; }
: "${ELECTION_OPERATOR_NODES_KIT:?is not set: the packer}"
name=$1 out=$2
# containerd knows no short names.
[[ $name == */* ]] || name=docker.io/library/$name
cache=${ELECTION_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/election-operator}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say() { echo "busybox: $*" >&2; }

if [ ! -x "$cache/busybox" ]; then
	command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { say "this is no Debian"; exit 3; }
	mkdir -p "$cache"
	(cd "$work" && apt-get download --quiet=2 busybox-static >&2) ||
		{ say "cannot fetch Debian's busybox-static"; exit 3; }
	dpkg-deb --extract "$work"/busybox-static_*.deb "$work/package"
	cp "$(find "$work/package" -name busybox -type f -perm -100)" "$cache/busybox.part"
	mv "$cache/busybox.part" "$cache/busybox"
fi
mkdir -p "$work/root/bin"
for program in sh wget; do cp "$cache/busybox" "$work/root/bin/$program"; done
"$ELECTION_OPERATOR_NODES_KIT" image "$out" "$name" "$work/root" '{"Env": ["PATH=/bin"], "Cmd": ["sh"]}'
