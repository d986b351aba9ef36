#!/usr/bin/env bash
# Gets the programs that make a release, once for each set of versions, and prints the folder they
# are in. A second call costs nothing. Only what is named is fetched.
#
#   tools.sh zig    the compiler and linker for C that the static builds use, with cargo-zigbuild,
#                   cargo-auditable and the musl targets of Rust
#   tools.sh helm   packs the chart
#   tools.sh crane  talks to registries, and is one for the tests
#   tools.sh cosign signs
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
zig=0.17.1
zigbuild=0.24.1
auditable=0.7.7
crane=v0.22.1
cosign=v3.1.3
# That of the tests.
helm=$(sed -n 's/^helm=//p' "$here/../tests/cluster/tools.sh")

say() { echo "release: $*" >&2; }
die() { say "$*"; exit 1; }
need() { command -v "$1" >/dev/null || die "$1 is not here: $2"; }

[ $# -gt 0 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2; }
key=$(echo "$zig $zigbuild $auditable $crane $cosign $helm" | sha256sum | cut -c1-16)
tools=${ELECTION_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/election-operator}/release-tools-$key
mkdir -p "$tools/bin"

# One builder at a time: the next one finds the work done.
exec 9>"$tools/.lock"
flock 9

crate() { # name version
	[ -x "$tools/bin/$1" ] && return
	say "building $1 $2; a minute or two on two cores, once"
	cargo install --quiet --locked --root "$tools" "$1@$2" ||
		die "cargo cannot install $1 $2 (crates.io)"
}
module() { # name package@version
	[ -x "$tools/bin/$1" ] && return
	need go "Go 1.26 or newer builds $1 (https://go.dev/dl)"
	say "building $2; a minute or two on two cores, once"
	(cd / && CGO_ENABLED=0 GOBIN="$tools/bin" go install -trimpath -ldflags "-s -w" "$2") ||
		die "go cannot install $2"
}
targets() {
	local target
	need rustup "it has the musl targets of Rust (https://rustup.rs)"
	for target in x86_64-unknown-linux-musl aarch64-unknown-linux-musl; do
		(cd "$here" && rustup target list --installed | grep -qx "$target") && continue
		say "adding the Rust target $target"
		(cd "$here" && rustup --quiet target add "$target") || die "rustup cannot add the target $target"
	done
}
compilers() {
	targets
	if [ ! -x "$tools/bin/zig" ]; then
		need python3 "Python 3 with pip has zig as the package ziglang (https://pypi.org/project/ziglang)"
		say "fetching zig $zig, 100 MB, once"
		python3 -m pip install --quiet --no-deps --upgrade --target "$tools/python" "ziglang==$zig" >&2 ||
			die "pip cannot install ziglang==$zig (Debian has pip as python3-pip)"
		ln -sfn ../python/ziglang/zig "$tools/bin/zig"
	fi
	crate cargo-zigbuild "$zigbuild"
	crate cargo-auditable "$auditable"
}

for tool in "$@"; do
	case $tool in
	zig) compilers ;;
	helm) module helm "helm.sh/helm/v4/cmd/helm@$helm" ;;
	crane) module crane "github.com/google/go-containerregistry/cmd/crane@$crane" ;;
	cosign) module cosign "github.com/sigstore/cosign/v3/cmd/cosign@$cosign" ;;
	*) die "there is no tool $tool" ;;
	esac
done
echo "$tools/bin"
