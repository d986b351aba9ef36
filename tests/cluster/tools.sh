#!/usr/bin/env bash
# Builds the programs of a real control plane from Go modules, once for each version of this folder's inputs,
# and prints the folder they are in. A second call costs nothing.
#
# ELECTION_OPERATOR_KUBERNETES=v1.33.13: another Kubernetes than that of go.mod, with the etcd that it names.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
of_module=$(awk '$1 == "k8s.io/kubernetes" && NF >= 2 {print $2; exit}' "$here/go.mod")
kubernetes=${ELECTION_OPERATOR_KUBERNETES:-$of_module}
kwok=v0.8.0
helm=v4.3.1

key=$({
	cat "$here/go.mod" "$here/go.sum" "$here/tools.sh"
	[ "$kubernetes" = "$of_module" ] || echo "$kubernetes"
} | sha256sum | cut -c1-16)
tools=${ELECTION_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/election-operator}/tools-$key
mkdir -p "$tools"
say() { echo "tools: $*" >&2; }

# One builder at a time; whoever waits finds the work done.
exec 9>"$tools/.lock"
flock 9
[ -e "$tools/.complete" ] && { echo "$tools"; exit 0; }
command -v go >/dev/null || { say "Go 1.26 or newer is needed to build the test control plane"; exit 1; }
[[ $kubernetes =~ ^v1\.[0-9]+\.[0-9]+$ ]] ||
	{ say "ELECTION_OPERATOR_KUBERNETES=$kubernetes is no version such as $of_module"; exit 1; }
say "building the test control plane ($kubernetes) into $tools; about ten minutes on two cores, once"

version_flags="-X k8s.io/component-base/version.gitVersion=$kubernetes"
version_flags+=" -X k8s.io/component-base/version.gitMajor=$(echo "$kubernetes" | cut -d. -f1 | tr -d v)"
version_flags+=" -X k8s.io/component-base/version.gitMinor=$(echo "$kubernetes" | cut -d. -f2)"
# The module of another version: Kubernetes' own requirements, and its parts as they were published
# with it. Go checks all that it downloads against its checksum database.
another_module() {
	local requirements
	module=$tools/module
	mkdir -p "$module"
	requirements=$(cd / && go mod download -json "k8s.io/kubernetes@$kubernetes" |
		sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')
	{
		echo "module election-operator.io/tests/cluster"
		grep '^go ' "$requirements"
		echo "require k8s.io/kubernetes $kubernetes"
		sed -n "s|^\t\(k8s.io/[a-z-]*\) => ./staging/.*|replace \1 => \1 v0${kubernetes#v1}|p" "$requirements"
	} >"$module/go.mod"
}
module=$here sums=-mod=readonly
[ "$kubernetes" = "$of_module" ] || { another_module; sums=-mod=mod; }
build() { # name, package
	[ -x "$tools/$1" ] && return
	say "building $1"
	(cd "$module" && go build $sums -trimpath -ldflags "-s -w $version_flags" -o "$tools/$1.part" "$2")
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
if [ "$kubernetes" = "$of_module" ]; then
	install kwok "sigs.k8s.io/kwok/cmd/kwok@$kwok"
	install kwokctl "sigs.k8s.io/kwok/cmd/kwokctl@$kwok"
	install helm "helm.sh/helm/v4/cmd/helm@$helm"
else
	common=$(ELECTION_OPERATOR_KUBERNETES='' "$here/tools.sh")
	for program in kwok kwokctl helm; do ln -sfn "$common/$program" "$tools/$program"; done
fi
touch "$tools/.complete"
echo "$tools"
