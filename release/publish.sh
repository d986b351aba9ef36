#!/usr/bin/env bash
# Pushes the image and the chart of a release to the registry that the release names. What must be
# signed is printed, a line each: image=NAME@DIGEST, chart=NAME@DIGEST, and once more of the image
# name=NAME and digest=DIGEST. A version is published once: other bytes under its name are refused.
#
#   publish.sh REGISTRY DIST    as: publish.sh ghcr.io/OWNER dist
#
# Credentials are those of `docker login`, `helm registry login` or `crane auth login`. PLAIN_HTTP=1: the
# registry has no TLS, as one on this machine (localhost, 127.0.0.1).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[ $# -eq 2 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2; }
registry=${1,,} # A registry knows no capitals.
dist=$(cd "$2" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
die() { echo "release: $*" >&2; exit 1; }

version=$(sed -n '0,/^version/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
chart=$dist/election-operator-$version.tgz
for file in "$dist/election-operator-image.tar" "$chart" "$dist/install.yaml"; do
	[ -e "$file" ] || die "there is no $file: make release REGISTRY=$registry"
done
grep -Fq "image: \"$registry/election-operator:$version\"" "$dist/install.yaml" ||
	die "$dist is of another registry: make release REGISTRY=$registry"
tools=$("$root/release/tools.sh" helm crane)

# Helm speaks HTTPS to every registry unless it is told otherwise.
plain=() insecure=()
case $registry in localhost:* | 127.0.0.1:*) PLAIN_HTTP=1 ;; esac
[ -z "${PLAIN_HTTP:-}" ] || { plain=(--plain-http) insecure=(--insecure); }

image=$registry/election-operator
mkdir "$work/image"
tar --extract --file "$dist/election-operator-image.tar" --directory "$work/image"
digest=$(sed -n 's/.*"digest":"\(sha256:[0-9a-f]*\)".*/\1/p' "$work/image/index.json")
there=$("$tools/crane" "${insecure[@]}" digest "$image:$version" 2>"$work/errors" || true)
[ -z "$there" ] || [ "$there" = "$digest" ] ||
	die "$image:$version is $there already, and this release is $digest: raise the version"
"$tools/crane" "${insecure[@]}" push "$work/image" "$image:$version" >/dev/null
printf '%s\n' "image=$image@$digest" "name=$image" "digest=$digest"

"$tools/helm" push "$chart" "oci://$registry/charts" "${plain[@]}" >"$work/push" 2>&1 ||
	die "helm push: $(cat "$work/push")"
digest=$(sed -n 's/^Digest: //p' "$work/push")
echo "chart=$registry/charts/election-operator@$digest"
