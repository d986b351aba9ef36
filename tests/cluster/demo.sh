#!/usr/bin/env bash
# A failover to look at. The script starts a real control plane, installs the chart, runs the
# operator under the chart's ServiceAccount and applies examples/orders.yaml. Then it deletes the
# leader, shows what happened, and cleans up.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
export ELECTION_OPERATOR_CLUSTER=election-operator-demo

bold='' dim='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\033[1m' dim=$'\033[2m' plain=$'\033[0m'; fi
title() { printf '\n%s\n' "$bold$*$plain"; }
run() { printf '%s\n' "$dim\$ $*$plain"; "$@"; }

operator=
clean_up() {
	trap - EXIT INT TERM
	title "Cleaning up"
	if [ -n "$operator" ]; then
		kill "$operator" 2>/dev/null || true
		wait "$operator" 2>/dev/null || true
	fi
	"$here/cluster.sh" down || true
}
trap clean_up EXIT
trap 'exit 130' INT TERM

title "1  The operator"
cargo build --release --bin election-operator

title "2  A real control plane, with the chart installed"
"$here/cluster.sh" up
eval "$("$here/cluster.sh" env)"
state=$(dirname "$ELECTION_OPERATOR_TEST_KUBECONFIG")
kubectl() { "$ELECTION_OPERATOR_TOOLS/kubectl" --kubeconfig "$ELECTION_OPERATOR_TEST_KUBECONFIG" "$@"; }

title "3  The operator runs, with no more rights than the chart's ServiceAccount has"
"${CARGO_TARGET_DIR:-target}/release/election-operator" run --kubeconfig "$ELECTION_OPERATOR_KUBECONFIG" \
	--http-addr 127.0.0.1:0 >"$state/operator.log" 2>&1 &
operator=$!

title "4  A StatefulSet, a Service that selects role=leader, and an ElectionGroup"
run kubectl apply -f examples/orders.yaml
kubectl rollout status statefulset/orders --timeout 120s >/dev/null
run kubectl wait --for=condition=Ready electiongroup/orders --timeout 60s
run kubectl get electiongroup orders
run kubectl get pods -l app=orders -L role
endpoint() {
	kubectl get endpointslices -l kubernetes.io/service-name=orders-leader \
		-o jsonpath='{.items[*].endpoints[?(@.conditions.ready==true)].targetRef.name}'
}
leader=$(kubectl get electiongroup orders -o jsonpath='{.status.leader.name}')
# The Service follows the label within milliseconds. The script waits rather than guesses.
for _ in $(seq 100); do
	[ "$(endpoint)" = "$leader" ] && break
	sleep 0.1
done
echo "Service orders-leader reaches: $(endpoint)"

title "5  The leader's pod is deleted"
run kubectl delete pod "$leader" --wait=false
for _ in $(seq 300); do
	next=$(kubectl get electiongroup orders -o jsonpath='{.status.leader.name}')
	[ "$next" != "$leader" ] && [ "$(endpoint)" = "$next" ] && break
	sleep 0.1
done
run kubectl wait --for=condition=Ready electiongroup/orders --timeout 60s
run kubectl get electiongroup orders -o wide
run kubectl get pods -l app=orders -L role
echo "Service orders-leader reaches: $(endpoint)"

title "6  Why, and how long it took"
kubectl get events.events.k8s.io --field-selector regarding.kind=ElectionGroup \
	-o custom-columns='REASON:.reason,NOTE:.note' 2>/dev/null || kubectl get events
history() { kubectl get electiongroup orders -o jsonpath="{.status.history[0].$1}"; }
nanoseconds() { date --date "$1" +%s%N; }
milliseconds=$((($(nanoseconds "$(history labelledAt)") - $(nanoseconds "$(history detectedAt)")) / 1000000))
echo "term $(history term): $(history previous) -> $(history leader), $(history reason):" \
	"$milliseconds ms from the cause seen to the new label"
echo
grep 'leader changed' "$state/operator.log"
