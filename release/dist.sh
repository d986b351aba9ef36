#!/usr/bin/env bash
# Puts a release into a folder. The same commit gives the same bytes.
#
#   dist.sh image OUT   the image of both platforms, as a tar (an OCI layout)
#   dist.sh files OUT   what needs no compiler: chart, install.yaml, crds.yaml, SBOM, notices, changes
#   dist.sh all OUT     both, the programs themselves, and SHA256SUMS of everything
#
# REGISTRY           where the image will be published, as ghcr.io/OWNER: chart and install.yaml
#                    name REGISTRY/election-operator. Default: what the chart's values.yaml names.
# TAG                what is released, as v1.2.3: refused unless program, chart and changelog agree.
# SOURCE_URL         the repository's address, for the labels of the image.
# RELEASE_BINARIES   a folder with linux-amd64/election-operator and linux-arm64/election-operator:
#                    nothing is compiled then.
# RELEASE_PLATFORMS  fewer platforms: RELEASE_PLATFORMS=amd64
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[ $# -eq 2 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2; }
step=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)
cd "$root"
platforms=${RELEASE_PLATFORMS:-amd64 arm64}
REGISTRY=${REGISTRY:-}
REGISTRY=${REGISTRY,,} # A registry knows no capitals.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { echo "release: $*" >&2; }
die() { say "$*"; exit 1; }
command -v python3 >/dev/null || die "python3 is not here: it packs the image (https://python.org)"

version=$(sed -n '0,/^version/s/^version = "\(.*\)"/\1/p' Cargo.toml)
revision=$(git rev-parse HEAD 2>/dev/null || true)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH

# The part of the changelog of one version.
entry() { awk -v version="$1" '/^## / {of = ($2 == version || $2 == "[" version "]")} of' CHANGELOG.md; }

check_tag() {
	local key
	[ "$TAG" = "v$version" ] || die "the tag $TAG does not fit version $version of Cargo.toml"
	for key in version appVersion; do
		grep -Fqx "$key: $version" charts/election-operator/Chart.yaml ||
			die "Chart.yaml must say $key: $version"
	done
	[ -n "$(entry "$version")" ] || die "CHANGELOG.md has no entry ## $version"
	[ -z "$(git status --porcelain)" ] || die "there are changes that are in no commit"
}

programs() {
	local platform
	if [ -z "${RELEASE_BINARIES:-}" ]; then
		release/build.sh "$work/programs"
		RELEASE_BINARIES=$work/programs
	fi
	release/notices.py >"$work/THIRD-PARTY-NOTICES.txt"
	for platform in $platforms; do
		mkdir -p "$work/linux-$platform"
		cp "$RELEASE_BINARIES/linux-$platform/election-operator" LICENSE "$work/THIRD-PARTY-NOTICES.txt" \
			"$work/linux-$platform/"
		chmod 755 "$work/linux-$platform/election-operator"
	done
}

archives() {
	local platform
	for platform in $platforms; do
		tar --create --directory "$work/linux-$platform" --sort=name --format=ustar \
			--mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
			LICENSE THIRD-PARTY-NOTICES.txt election-operator |
			gzip -9 --no-name >"$out/election-operator-linux-$platform.tar.gz"
	done
}

image() {
	local platform folders=() name=${IMAGE:-${REGISTRY:+$REGISTRY/}election-operator:$version}
	local about=org.opencontainers.image labels
	# containerd knows no short names.
	[[ $name == */* ]] || name=library/$name
	[[ ${name%%/*} == *[.:]* || ${name%%/*} == localhost ]] || name=docker.io/$name
	for platform in $platforms; do folders+=("linux/$platform=$work/linux-$platform"); done
	labels=(
		"$about.title=election-operator"
		"$about.description=$(sed -n 's/^description = "\(.*\)"/\1/p' Cargo.toml)"
		"$about.licenses=Apache-2.0"
		"$about.version=$version"
		"$about.created=$(date --utc --date="@$SOURCE_DATE_EPOCH" +%FT%TZ)"
	)
	[ -z "$revision" ] || labels+=("$about.revision=$revision")
	[ -z "${SOURCE_URL:-}" ] || labels+=("$about.source=$SOURCE_URL" "$about.url=$SOURCE_URL")
	digest=$(release/image.py "$out/election-operator-image.tar" "$name" "${folders[@]}" \
		--user 65532:65532 --entrypoint /election-operator --cmd run --label "${labels[@]}")
	say "the image $name is $digest"
}

# The chart as it will be published. Helm dates the files in it by SOURCE_DATE_EPOCH, too.
chart() {
	local charts=$work/charts helm
	helm=$(release/tools.sh helm)/helm
	mkdir "$charts"
	cp -R charts/election-operator "$charts/"
	if [ -n "$REGISTRY" ]; then
		sed -i "s|^  repository: .*|  repository: $REGISTRY/election-operator|" \
			"$charts/election-operator/values.yaml"
	fi
	"$helm" package "$charts/election-operator" --destination "$work/chart" >&2
	# The time of the package becomes the creation time in a registry.
	touch --date="@$SOURCE_DATE_EPOCH" "$work/chart/election-operator-$version.tgz"
	mv "$work/chart/election-operator-$version.tgz" "$out/"
	{
		cat release/namespace.yaml
		"$helm" template election-operator "$out/election-operator-$version.tgz" \
			--namespace election-operator --skip-tests
	} >"$out/install.yaml"
}

files() {
	chart
	cp charts/election-operator/files/electiongroups.yaml "$out/crds.yaml"
	release/sbom.py >"$out/sbom.cdx.json"
	release/notices.py >"$out/THIRD-PARTY-NOTICES.txt"
	entry "$version" >"$out/CHANGES.md"
	[ -s "$out/CHANGES.md" ] || entry Unreleased >"$out/CHANGES.md"
}

[ -z "${TAG:-}" ] || check_tag
case $step in
image)
	programs
	image
	;;
files) files ;;
all)
	rm -f "$out"/{election-operator-*,SHA256SUMS*}
	programs
	archives
	image
	files
	(cd "$out" && sha256sum -- *) >"$work/SHA256SUMS"
	mv "$work/SHA256SUMS" "$out/"
	;;
*) die "there is no step $step: image, files, all" ;;
esac
