#!/usr/bin/env bash
# Packs the image of an example, without a container engine: what the Dockerfile of its name in examples/ says, on
# Debian's packages. Where they cannot be had standard error says why, and the exit code is 3.
#
#   example-image.sh role-file-go|role-file-python OUT.tar
#   example-image.sh postgres OUT.tar BINARY                 BINARY: the operator
#
# ELECTION_OPERATOR_NODES_KIT names the packer.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
examples=$here/../../examples
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2; }
[ $# -ge 2 ] || usage
: "${ELECTION_OPERATOR_NODES_KIT:?is not set: the packer}"
example=$1 out=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir "$root"

# The name that the manifest has for it.
name=$(sed -n 's|^ *image: *\(registry.example.com/.*\)$|\1|p' "$examples/$example.yaml" | grep -v /election-operator: | sort -u)

debian() { # package…
	local packages
	packages=$("$here/debian.sh" "$@")
	tar --extract --file "$packages" --directory "$root"
	# The packer follows links: absolute ones are meant for the image. Those of files that only a script makes go.
	find "$root" -lname '/*' -exec sh -c 'for link; do ln -sfnr "$0$(readlink "$link")" "$link"; done' "$root" {} +
	find "$root" -xtype l -delete
}

case $example in
role-file-go)
	CGO_ENABLED=0 go build -trimpath -o "$root/reports" "$examples/role-file/main.go"
	"$ELECTION_OPERATOR_NODES_KIT" image "$out" "$name" "$root" '{"Entrypoint": ["/reports"]}'
	;;
role-file-python)
	debian python3-minimal libpython3-stdlib
	cp "$examples/role-file/main.py" "$root/reports.py"
	"$ELECTION_OPERATOR_NODES_KIT" image "$out" "$name" "$root" \
		'{"Entrypoint": ["python3", "/reports.py"], "Env": ["PATH=/usr/bin:/bin"]}'
	;;
postgres)
	[ $# -eq 3 ] || usage
	debian base-files coreutils dash findutils grep postgresql-15 sed util-linux
	mkdir -p "$root/postgres"
	cp "$examples"/postgres/*.sh "$root/postgres/"
	# The user of the image that the Dockerfile begins with.
	echo "postgres:x:999:999::/tmp:/bin/sh" >"$root/etc/passwd"
	"$here/image.sh" --root "$root" --config \
		'{"User": "999:999", "Env": ["PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin"]}' "$3" "$name" "$out"
	;;
*) usage ;;
esac
