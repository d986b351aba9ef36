#!/usr/bin/env bash
# Copies the program of a release into two other images, as `COPY --from` in a Dockerfile does, and pushes
# them: one that has nothing else but an application, and one of Debian. Prints a line for each: nothing=NAME,
# debian=NAME. Where Debian's packages cannot be had the second is left out, and standard error says why.
#
#   copies.sh IMAGE      as: copies.sh 198.18.0.2:5000/team/election-operator:0.1.0; the registry has no TLS
#
# ELECTION_OPERATOR_NODES_KIT names the application.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -eq 1 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2; }
: "${ELECTION_OPERATOR_NODES_KIT:?is not set: the application}"
released=$1
registry=${released%/*}
tools=$("$here/../../release/tools.sh" crane)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
crane() { "$tools/crane" --insecure "$@"; }

platform=linux/$(go env GOARCH)
mkdir "$work/elect" "$work/application"
crane export --platform "$platform" "$released" - | tar --extract --directory "$work/elect" election-operator
tar --create --file "$work/elect.tar" --directory "$work/elect" election-operator
cp "$ELECTION_OPERATOR_NODES_KIT" "$work/application/kit"
tar --create --file "$work/application.tar" --directory "$work/application" kit

push() { # name layer…
	local name=$registry/copied:$1 layers=()
	shift
	for layer; do layers+=(--new_layer "$layer"); done
	crane append --oci-empty-base "${layers[@]}" --new_tag "$name" >/dev/null 2>"$work/said" ||
		{ cat "$work/said" >&2; return 1; }
	crane mutate "$name" --set-platform "$platform" --entrypoint /election-operator,elect --tag "$name" >/dev/null
	echo "${name##*:}=$name"
}

push nothing "$work/elect.tar" "$work/application.tar"
# Debian's shell and tools.
if debian=$("$here/debian.sh" base-files coreutils dash); then
	push debian "$debian" "$work/elect.tar"
fi
