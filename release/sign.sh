#!/usr/bin/env bash
# Signs a release with cosign: its image and its chart in the registry, where they are published if they are
# not yet, and the checksums of its files, into SHA256SUMS.sigstore.json beside them.
#
#   sign.sh REGISTRY DIST    as: sign.sh ghcr.io/OWNER dist
#
# COSIGN_KEY is a private key, as `cosign generate-key-pair` makes it; COSIGN_PASSWORD is its password. Such a
# signature stands in no public log. Default: the identity that the environment has, as that of a workflow.
# PLAIN_HTTP=1: as for publish.sh.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[ $# -eq 2 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2; }
registry=$1
dist=$(cd "$2" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
die() { echo "release: $*" >&2; exit 1; }
[ -e "$dist/SHA256SUMS" ] || die "there is no $dist/SHA256SUMS: make release REGISTRY=$registry"

published=$("$root/release/publish.sh" "$registry" "$dist")
cosign=$("$root/release/tools.sh" cosign)/cosign
how=(--yes) http=()
case $registry in localhost:* | 127.0.0.1:*) PLAIN_HTTP=1 ;; esac
[ -z "${PLAIN_HTTP:-}" ] || http=(--allow-http-registry)
if [ -n "${COSIGN_KEY:-}" ]; then
	"$cosign" signing-config create --out "$work/no-services.json"
	how+=(--key "$COSIGN_KEY" --signing-config "$work/no-services.json")
fi
for kind in image chart; do
	name=$(sed -n "s/^$kind=//p" <<<"$published")
	"$cosign" sign "${how[@]}" "${http[@]}" "$name"
done
"$cosign" sign-blob "${how[@]}" --bundle "$dist/SHA256SUMS.sigstore.json" "$dist/SHA256SUMS"
