#!/usr/bin/env bash
# Packs Debian's busybox as the image of a name: `wget` and a shell. No other image is pulled for it.
#
#   busybox.sh NAME OUT.tar      as: busybox.sh busybox:1.37 out.tar
#
# ELECTION_OPERATOR_NODES_KIT names the packer. Exit code 3: the package cannot be had. Standard error says why.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -eq 2 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2; }
: "${ELECTION_OPERATOR_NODES_KIT:?is not set: the packer}"
name=$1 out=$2
# containerd knows no short names.
[[ $name == */* ]] || name=docker.io/library/$name
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

packages=$("$here/debian.sh" busybox-static)
mkdir -p "$work/package" "$work/root/bin"
tar --extract --file "$packages" --directory "$work/package"
busybox=$(find "$work/package" -name busybox -type f -perm -100)
for program in sh wget; do cp "$busybox" "$work/root/bin/$program"; done
"$ELECTION_OPERATOR_NODES_KIT" image "$out" "$name" "$work/root" '{"Env": ["PATH=/bin"], "Cmd": ["sh"]}'
