#!/usr/bin/env bash
# Builds the programs of a real node from Go modules, once for each version of this folder's inputs, and
# prints the folder they are in. The control plane's programs (tests/cluster/tools.sh) are linked there,
# too. A second call costs nothing.
#
#   tools.sh           build what is missing
#   tools.sh missing   print, a line each, what this machine lacks for real nodes; fail if any
#
# Debian's packages (runc, the CNI plugins, nft, conntrack) are installed with apt-get. `missing` lists
# them only on machines without apt-get.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kubernetes=$(awk '$1 == "k8s.io/kubernetes" && NF >= 2 {print $2; exit}' "$here/go.mod")
containerd=v2.2.9
containerd_tags=no_btrfs,no_zfs,no_devmapper,no_aufs

say() { echo "nodes: $*" >&2; }
die() { say "$*"; exit 1; }

# Program or file -> the Debian package that has it.
needs=(
	runc=runc
	nft=nftables
	conntrack=conntrack
	iptables=iptables
	ip=iproute2
	unshare=util-linux
	nsenter=util-linux
	mount=mount
	openssl=openssl
	/usr/lib/cni/ptp=containernetworking-plugins
	/usr/lib/cni/host-local=containernetworking-plugins
	/usr/lib/cni/portmap=containernetworking-plugins
)
has() { case $1 in /*) [ -x "$1" ] ;; *) command -v "$1" >/dev/null ;; esac; }
packages() {
	local need
	for need in "${needs[@]}"; do has "${need%%=*}" || echo "${need#*=}"; done | sort -u
}
# What no package can give. Namespaces, interfaces and nftables are tried, not assumed.
machine() {
	[ "$(uname -s)" = Linux ] || { echo "Linux (this is $(uname -s))"; return; }
	[ "$(id -u)" = 0 ] || { echo "root (run it with sudo)"; return; }
	command -v go >/dev/null || echo "Go 1.26 or newer"
	has unshare && has ip && has mount || return 0
	unshare --net --mount --pid --fork --uts --ipc sh -c 'mount --make-rprivate /' 2>/dev/null ||
		echo "the right to make network, mount and pid namespaces"
	unshare --net sh -c 'ip link add name eo0 type veth peer name eo1 && ip link add name eo2 type bridge' 2>/dev/null ||
		echo "veth and bridge interfaces in the kernel"
	grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || echo "overlayfs in the kernel"
	if has nft; then
		unshare --net nft add table ip eo 2>/dev/null || echo "nftables in the kernel"
	fi
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		grep -qw memory /sys/fs/cgroup/cgroup.controllers || echo "cgroup v2 with the controllers cpu, memory and pids"
	else
		local controller
		for controller in cpu cpuset memory pids devices; do
			[ -w "/sys/fs/cgroup/$controller" ] || echo "a writable cgroup controller $controller"
		done
	fi
}

case ${1:-} in
"") ;;
missing)
	lacks=$(machine; command -v apt-get >/dev/null || packages | sed 's/^/the package /')
	[ -z "$lacks" ] && exit 0
	echo "$lacks"
	exit 1
	;;
*) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

command -v go >/dev/null || die "Go 1.26 or newer is needed to build the programs of a node"
lacks=$(packages | xargs)
if [ -n "$lacks" ]; then
	[ "$(id -u)" = 0 ] || die "real nodes need root, and the packages $lacks"
	command -v apt-get >/dev/null || die "install the packages $lacks (Debian's names)"
	say "installing $lacks"
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $lacks >&2 || {
		DEBIAN_FRONTEND=noninteractive apt-get update >&2 &&
			DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $lacks >&2
	} || die "install the packages $lacks"
	lacks=$(packages | xargs)
	[ -z "$lacks" ] || die "install the packages $lacks"
fi

control=$("$here/../cluster/tools.sh")
wanted=$(awk '$1 == "k8s.io/kubernetes" && NF >= 2 {print $2; exit}' "$here/../cluster/go.mod")
[ "$kubernetes" = "$wanted" ] ||
	die "tests/nodes/go.mod has Kubernetes $kubernetes and tests/cluster/go.mod $wanted: make them one"

key=$(cat "$here/go.mod" "$here/go.sum" "$here/tools.sh" | sha256sum | cut -c1-16)
tools=${ELECTION_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/election-operator}/nodes-tools-$key
mkdir -p "$tools"

# One builder at a time: the next one finds the work done.
exec 9>"$tools/.lock"
flock 9
for component in etcd kube-apiserver kube-controller-manager kube-scheduler kubectl helm; do
	ln -sfn "$control/$component" "$tools/$component"
done
[ -e "$tools/.complete" ] && { echo "$tools"; exit 0; }
say "building kubelet and kube-proxy $kubernetes, containerd $containerd into $tools; some minutes, once"

# The flags of tests/cluster/tools.sh, so that its build cache serves here.
version_flags="-X k8s.io/component-base/version.gitVersion=$kubernetes"
version_flags+=" -X k8s.io/component-base/version.gitMajor=$(echo "$kubernetes" | cut -d. -f1 | tr -d v)"
version_flags+=" -X k8s.io/component-base/version.gitMinor=$(echo "$kubernetes" | cut -d. -f2)"
build() { # name
	[ -x "$tools/$1" ] && return
	say "building $1"
	(cd "$here" && go build -trimpath -ldflags "-s -w $version_flags" -o "$tools/$1.part" "k8s.io/kubernetes/cmd/$1")
	mv "$tools/$1.part" "$tools/$1"
}
install() { # name
	[ -x "$tools/$1" ] && return
	say "installing $1 $containerd"
	(cd / && CGO_ENABLED=0 GOBIN="$tools" go install -trimpath -ldflags "-s -w" -tags "$containerd_tags" \
		"github.com/containerd/containerd/v2/cmd/$1@$containerd")
}
for component in containerd containerd-shim-runc-v2 ctr; do install "$component"; done
for component in kubelet kube-proxy; do build "$component"; done
touch "$tools/.complete"
echo "$tools"
