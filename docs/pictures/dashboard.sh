#!/usr/bin/env bash
# Draws docs/pictures/dashboard.svg: the chart's Grafana dashboard, with the answers of a Prometheus to its queries.
# Prometheus (Debian's package) scrapes two operators on the test control plane, while leaders are moved and deleted.
# Six minutes.
#
#   make picture
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${ELECTION_OPERATOR_TEST_KUBECONFIG:?is not set: make picture}"
seconds=${PICTURE_SECONDS:-330}
prometheus=127.0.0.1:18090
command -v prometheus >/dev/null || { echo "dashboard: prometheus is not here (Debian's package prometheus)" >&2; exit 1; }

work=$(mktemp -d)
started=()
clean_up() {
	trap - EXIT INT TERM
	kill "${started[@]}" 2>/dev/null || true
	wait
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
kubectl() { "$ELECTION_OPERATOR_TOOLS/kubectl" --kubeconfig "$ELECTION_OPERATOR_TEST_KUBECONFIG" "$@"; }
start() { "$@" >>"$work/log" 2>&1 & started+=($!); }

for replica in 1 2; do
	POD_NAME=election-operator-$replica start "${CARGO_TARGET_DIR:-target}/debug/election-operator" run \
		--kubeconfig "$ELECTION_OPERATOR_KUBECONFIG" --http-addr "127.0.0.1:1808$replica"
	targets+="
      - {targets: ['127.0.0.1:1808$replica'], labels: {namespace: election-operator, pod: election-operator-$replica}}"
done
cat >"$work/prometheus.yaml" <<END
global: {scrape_interval: 5s}
scrape_configs:
  - job_name: election-operator
    honor_labels: true
    static_configs:$targets
END
start prometheus --config.file "$work/prometheus.yaml" --storage.tsdb.path "$work/data" \
	--web.listen-address "$prometheus"

for namespace in billing search shop; do
	kubectl create namespace "$namespace" >/dev/null
	kubectl --namespace "$namespace" apply --filename examples/orders.yaml >/dev/null
	kubectl --namespace "$namespace" wait --for=condition=Ready electiongroup/orders --timeout 120s >/dev/null
done
kubectl --namespace billing apply --filename examples/routing.yaml >/dev/null
kubectl --namespace billing wait --for=condition=Ready electiongroup/billing --timeout 120s >/dev/null
kubectl --namespace search annotate electiongroup orders election-operator.io/paused=true >/dev/null
# A group without pods.
kubectl --namespace shop apply --filename - >/dev/null <<END
{apiVersion: election-operator.io/v1alpha1, kind: ElectionGroup, metadata: {name: reports},
 spec: {selector: {matchLabels: {app: reports}}}}
END
turn=0
while [ "$SECONDS" -lt "$seconds" ]; do
	case $((turn % 3)) in
	0) kubectl --namespace shop delete pod --selector app=orders,role=leader --wait=false ;;
	1) kubectl --namespace billing annotate --overwrite electiongroup orders \
		"election-operator.io/switchover=orders-$((turn / 3 % 3))" ;;
	2) kubectl --namespace billing delete pod --selector app=billing,role=leader --wait=false ;;
	esac >>"$work/log" 2>&1
	turn=$((turn + 1))
	sleep 9
done
docs/pictures/dashboard.py "http://$prometheus" charts/election-operator/files/dashboard.json 300 >"$work/dashboard.svg"
mv "$work/dashboard.svg" docs/pictures/dashboard.svg
kubectl delete namespace billing search shop --wait=false >/dev/null
