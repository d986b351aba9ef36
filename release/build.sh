#!/usr/bin/env bash
# Builds the static program for both platforms of a release, and packs it with the licence. The same
# source gives the same bytes in any folder, of any user.
#
#   build.sh OUT      writes OUT/linux-amd64/election-operator and OUT/linux-arm64/election-operator
#
# RELEASE_PLATFORMS names fewer: RELEASE_PLATFORMS=amd64
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[ $# -eq 1 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
tools=$("$root/release/tools.sh" zig)
cd "$root"
target=${CARGO_TARGET_DIR:-$root/target}
export PATH=$tools:$PATH CARGO_ZIGBUILD_ZIG_PATH=$tools/zig

# Messages of panics name source files. Names of this machine's folders must not get in.
compiler=$(rustc --version --verbose | sed -n 's/^commit-hash: //p')
flags=(
	"--remap-path-prefix=$root=/election-operator"
	"--remap-path-prefix=$target=/target"
	"--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
	"--remap-path-prefix=$(rustc --print sysroot)/lib/rustlib/src/rust=/rustc/$compiler"
)
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; echo "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS

for platform in ${RELEASE_PLATFORMS:-amd64 arm64}; do
	case $platform in
	amd64) triple=x86_64-unknown-linux-musl ;;
	arm64) triple=aarch64-unknown-linux-musl ;;
	*) echo "release: there is no platform $platform: amd64, arm64" >&2; exit 1 ;;
	esac
	CARGO=$root/release/cargo.sh cargo-auditable auditable zigbuild --release --locked \
		--bin election-operator --target "$triple"
	mkdir -p "$out/linux-$platform"
	cp "$target/$triple/release/election-operator" "$out/linux-$platform/election-operator"
done
