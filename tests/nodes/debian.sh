#!/usr/bin/env bash
# Unpacks packages of Debian with all that they depend on, and prints the path of a tar of it. No script of a package
# runs, and what only such scripts need is left out. A second call costs nothing. Where the packages cannot be had
# standard error says why, and the exit code is 3.
#
#   debian.sh PACKAGE…
set -euo pipefail
[ $# -gt 0 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2; }
cache=${ELECTION_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/election-operator}
lacks() { echo "debian: $*" >&2; exit 3; }
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || lacks "this is no Debian"
for_scripts='^(adduser|cdebconf|debconf|dpkg|init-system-helpers|install-info|libdebian-installer4|libllvm14|libnewt'
for_scripts+='|libperl|libtextwrap|libz3|locales|lsb-base|perl|postgresql-client-common|postgresql-common|ssl-cert|sysvinit'
for_scripts+='|tar$|ucf|usr-is-merged|usrmerge)'

fetch() { # package…, into $work/packages
	local packages
	packages=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
		--no-enhances "$@" | grep '^[a-z]' | grep -vE "$for_scripts" | sort -u) || return 1
	# shellcheck disable=SC2086
	(cd "$work/packages" && apt-get download --quiet=2 $packages >&2)
}

key=$(printf '%s\n' "$@" | cat - "${BASH_SOURCE[0]}" | sha256sum | cut -c1-16)
whole=$cache/debian-$key.tar
mkdir -p "$cache"
exec 9>"$cache/.debian.lock"
flock 9
if [ ! -e "$whole" ]; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	mkdir "$work/packages" "$work/root"
	fetch "$@" || { apt-get update --quiet=2 >&2 && fetch "$@"; } || lacks "it cannot fetch $*"
	for package in "$work"/packages/*.deb; do dpkg-deb --extract "$package" "$work/root"; done
	rm -rf "$work"/root/usr/share/{doc,info,lintian,locale,man}
	mkdir -p "$work/root/tmp"
	chmod 1777 "$work/root/tmp"
	tar --create --file "$whole.part" --directory "$work/root" .
	mv "$whole.part" "$whole"
fi
echo "$whole"
