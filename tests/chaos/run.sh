#!/usr/bin/env bash
# Chaos, on a control plane of its own beside the one of the other tests: it is killed and stopped now and then.
#
#   CHAOS_SECONDS=600 CHAOS_SEED=… CHAOS_GROUPS=6 CHAOS_OPERATORS=3 run.sh [TEST…]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export ELECTION_OPERATOR_CLUSTER=${ELECTION_OPERATOR_CLUSTER:-election-operator-test}-chaos
# The judge must find out an operator that writes the Lease of the pods: the API server would refuse it. The test
# plays the pods, with the rights of an administrator.
export ELECTION_OPERATOR_CHART_ARGS="--set policies.operatorWrites.enabled=false --set policies.nominations.enabled=false"
exec tests/cluster/with.sh cargo test --test chaos -- --ignored --nocapture --test-threads=1 "$@"
