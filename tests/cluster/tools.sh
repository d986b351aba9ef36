#!/usr/bin/env bash
# Builds the programs of a real control plane from Go modules, once for each version of this folder's inputs,
# and prints the folder they are in. A second call costs nothing.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kubernetes=$(awk '$1 == "k8s.io/kubernetes" && NF >= 2 {print $2; exit}' "$here/go.mod")
kwok=v0.8.0
helm=v4.3.1

key=$(cat "$here/go.mod" "$here/go.sum" "$here/tools.sh" | sha256sum | cut -c1-16)
tools=${ELECTION_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/election-operator}/tools-$key
mkdir -p "$tools"
say() { echo "tools: $*" >&2; }

# One builder at a time; whoever waits finds the work done.
exec 9>"$tools/.lock"
flock 9
[ -e "$tools/.complete" ] && { echo "$tools"; exit 0; }
command -v go >/dev/null || { say "Go 1.26 or newer is needed to build the test control plane"; exit 1; }
say "building the test control plane ($kubernetes) into $tools; about ten minutes on two cores, once"

version_flags="-X k8s.io/component-base/version.gitVersion=$kubernetes"
version_flags+=" -X k8s.io/component-base/version.gitMajor=$(echo "$kubernetes" | cut -d. -f1 | tr -d v)"
version_flags+=" -X k8s.io/component-base/version.gitMinor=$(echo "$kubernetes" | cut -d. -f2)"
build() { # name, package
	[ -x "$tools/$1" ] && return
	say "building $1"
	(cd "$here" && go build -trimpath -ldflags "-s -w $version_flags" -o "$tools/$1.part" "$2")
	mv "$tools/$1.part" "$tools/$1"
}
install() { # name, package@version
	[ -x "$tools/$1" ] && return
	say "installing $2"
	(cd / && GOBIN="$tools" go install -trimpath -ldflags "-s -w" "$2")
}
build etcd go.etcd.io/etcd/server/v3
for component in kube-apiserver kube-controller-manager kube-scheduler kubectl; do
	build "$component" "k8s.io/kubernetes/cmd/$component"
done
install kwok "sigs.k8s.io/kwok/cmd/kwok@$kwok"
install kwokctl "sigs.k8s.io/kwok/cmd/kwokctl@$kwok"
install helm "helm.sh/helm/v4/cmd/helm@$helm"
touch "$tools/.complete"
echo "$tools"
