#!/usr/bin/env bash
# One real control plane for tests and demo: etcd, kube-apiserver, kube-controller-manager and
# kube-scheduler as plain processes. kwok simulates nodes and containers. This repository's chart is
# installed.
#
#   cluster.sh up          create it, or bring chart and CRD of a running one up to date
#   cluster.sh down        remove it and everything it wrote
#   cluster.sh env         print the variables that the tests read:
#                          eval "$(tests/cluster/cluster.sh env)"
#   cluster.sh kubeconfig  print the path of the administrator's kubeconfig
#
# ELECTION_OPERATOR_CLUSTER names the cluster (default: election-operator-test). Clusters of
# different names live side by side. ELECTION_OPERATOR_KUBERNETES=v1.33.13 is another version of
# Kubernetes than that of go.mod, in a cluster of its own. ELECTION_OPERATOR_CHART_ARGS are further
# arguments of `helm upgrade`, separated by spaces. ELECTION_OPERATOR_CLUSTER_QPS=default leaves the
# controller-manager its default rate of requests; tests wait for none. The script keeps everything
# in the cache folder. It neither reads nor changes a kubeconfig or a current context of the user.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
chart=$here/../../charts/election-operator
name=${ELECTION_OPERATOR_CLUSTER:-election-operator-test}
[ -z "${ELECTION_OPERATOR_KUBERNETES:-}" ] || name+=-${ELECTION_OPERATOR_KUBERNETES//./-}
cache=${ELECTION_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/election-operator}
state=$cache/clusters/$name
workdir=$state/kwok/clusters/$name
admin=$state/kubeconfig
operator=$state/operator.kubeconfig
audit_log=$workdir/logs/audit.log
namespace=election-operator
nodes=5

say() { echo "cluster: $*" >&2; }
die() { say "$*"; exit 1; }
[[ $name =~ ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$ ]] || die "ELECTION_OPERATOR_CLUSTER=$name is no name for a cluster"

# The processes of the cluster outlive this script: they must not inherit its lock (9).
kwokctl() {
	KWOK_WORKDIR=$state/kwok KUBECONFIG=$admin \
		"$tools/kwokctl" --config "$here/kwok.yaml" --name "$name" "$@" 9>&-
}
kubectl() { "$tools/kubectl" --kubeconfig "$admin" --request-timeout=20s "$@"; }
helm() {
	HELM_CACHE_HOME=$state/helm HELM_CONFIG_HOME=$state/helm HELM_DATA_HOME=$state/helm \
		"$tools/helm" --kubeconfig "$admin" --namespace "$namespace" "$@"
}

# The processes of this cluster: those whose program is in its own folder. A PID in a file proves
# nothing: after a reboot another process may have it.
processes() {
	local process program
	for process in /proc/[0-9]*; do
		IFS= read -r -d '' program 2>/dev/null <"$process/cmdline" || continue
		[[ $program == "$workdir/bin/"* ]] && echo "${process#/proc/}"
	done 2>/dev/null
	true
}

alive() {
	[ -e "$state/.created" ] && [ "$(processes | wc -l)" -eq 5 ] &&
		kubectl --request-timeout=5s get --raw /readyz >/dev/null 2>&1
}

remove() {
	local pids pid
	for signal in TERM KILL; do
		pids=$(processes)
		for pid in $pids; do kill -s "$signal" "$pid" 2>/dev/null || true; done
		for _ in $(seq 50); do
			[ -z "$(processes)" ] && break
			sleep 0.1
		done
	done
	[ -z "$(processes)" ] || die "cannot stop the processes $(processes | xargs)"
	rm -rf "$state"
}

create() {
	say "starting $name"
	mkdir -p "$state"
	# Two clusters that look for free ports at the same time can find the same ports.
	exec 8>"$cache/clusters/.creating"
	flock 8
	# These must come last: kwokctl 0.8 counts arguments where it should count components.
	local rate=()
	[ "${ELECTION_OPERATOR_CLUSTER_QPS:-}" != default ] || rate=(
		--extra-args kube-controller-manager=kube-api-qps=20
		--extra-args kube-controller-manager=kube-api-burst=30
	)
	# The timing of real kubelets: node Leases of 40 s, renewed every 10 s. kwok leaves alone nodes
	# without the label: the test that creates one renews its Lease, or does not.
	kwokctl create cluster --runtime binary --wait 120s --heartbeat-factor 1 --disable-qps-limits \
		--extra-args kube-controller-manager=node-monitor-grace-period=50s \
		--extra-args kwok-controller=manage-all-nodes=false \
		--extra-args kwok-controller=manage-nodes-with-label-selector=type=kwok \
		"${rate[@]}" \
		--kube-audit-policy "$here/audit-policy.yaml" \
		--etcd-binary "$tools/etcd" \
		--kube-apiserver-binary "$tools/kube-apiserver" \
		--kube-controller-manager-binary "$tools/kube-controller-manager" \
		--kube-scheduler-binary "$tools/kube-scheduler" \
		--kwok-controller-binary "$tools/kwok" >"$state/create.log" 2>&1 8>&- ||
		{ tail -n 20 "$state/create.log" >&2; die "kwokctl could not create the cluster"; }
	exec 8>&-
	kwokctl scale node --replicas "$nodes" >>"$state/create.log" 2>&1 ||
		{ tail -n 20 "$state/create.log" >&2; die "kwokctl could not add nodes"; }
	kubectl wait --for=condition=Ready node --all --timeout=120s --request-timeout=0 >/dev/null
	touch "$state/.created"
}

# kwok only simulates the operator's pod. The tests need the CRD and the ServiceAccount's rights.
install_chart() {
	local wanted
	wanted=$(cd "$chart" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)
	[ "$(cat "$state/chart" 2>/dev/null)" = "$wanted" ] && return
	say "installing the chart"
	# shellcheck disable=SC2086 # Words, separated by spaces.
	helm upgrade --install election-operator "$chart" ${ELECTION_OPERATOR_CHART_ARGS:-} --create-namespace --wait --timeout 120s \
		>"$state/helm.log" 2>&1 ||
		{ cat "$state/helm.log" >&2; die "helm could not install the chart"; }
	kubectl wait --for=condition=Established crd/electiongroups.election-operator.io \
		--timeout=60s --request-timeout=0 >/dev/null
	echo "$wanted" >"$state/chart"
}

# A second kubeconfig, for the operator under test: the same server, with the identity of the
# chart's ServiceAccount.
write_operator_kubeconfig() {
	local account token
	account=$(kubectl --namespace "$namespace" get deployments \
		-o jsonpath='{.items[0].spec.template.spec.serviceAccountName}')
	token=$(kubectl --namespace "$namespace" create token "$account" --duration 24h)
	(
		umask 077
		"$tools/kubectl" config view --kubeconfig "$admin" --raw --flatten --minify -o json >"$operator.part"
		for context in $("$tools/kubectl" config get-contexts --kubeconfig "$operator.part" -o name); do
			"$tools/kubectl" config delete-user --kubeconfig "$operator.part" "$context"
			"$tools/kubectl" config set-credentials operator --token "$token" \
				--kubeconfig "$operator.part"
			"$tools/kubectl" config set-context "$context" --user operator \
				--kubeconfig "$operator.part"
		done >/dev/null
	)
	mv "$operator.part" "$operator"
}

command=${1:-}
case $command in
up | down | env | kubeconfig) ;;
*) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

mkdir -p "$cache/clusters"
case $command in
up)
	tools=$("$here/tools.sh")
	exec 9>"$cache/clusters/.$name.lock"
	flock 9
	if ! alive; then
		[ -e "$state" ] && say "removing what is left of an earlier $name" && remove
		create
	fi
	install_chart
	write_operator_kubeconfig
	say "$name is up; kubectl --kubeconfig $admin"
	;;
down)
	exec 9>"$cache/clusters/.$name.lock"
	flock 9
	[ -e "$state" ] || { say "there is no $name"; exit 0; }
	remove
	say "$name is gone"
	;;
env | kubeconfig)
	tools=$("$here/tools.sh")
	{ alive && [ -e "$operator" ]; } || die "$name is not up; start it with: make cluster-up"
	if [ "$command" = kubeconfig ]; then
		echo "$admin"
	else
		printf 'export %s=%q\n' \
			ELECTION_OPERATOR_TEST_KUBECONFIG "$admin" \
			ELECTION_OPERATOR_KUBECONFIG "$operator" \
			ELECTION_OPERATOR_TOOLS "$tools" \
			ELECTION_OPERATOR_AUDIT_LOG "$audit_log"
	fi
	;;
esac
