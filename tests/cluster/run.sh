#!/usr/bin/env bash
# Runs the tests of the operator on the control plane that is up (with.sh starts one). All of them
# run at once, but for those that disturb the others or look back at them: these run last, one by
# one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
last=(
	alone::a_missing_crd_is_waited_for_and_then_every_namespace_is_served
	permissions::the_chart_grants_what_the_operator_uses_and_no_more
	tenant::a_flood_of_one_tenant_takes_no_failover_and_no_memory_from_the_others
)

# A test that was renamed would silently run among the others.
names=$(cargo test --test cluster -- --list)
for test in "${last[@]}"; do
	grep -Fqx "$test: test" <<<"$names" || { echo "run.sh: there is no test $test" >&2; exit 1; }
done

cargo test --test cluster -- --include-ignored --exact "${last[@]/#/--skip=}"
cargo test --test cluster -- --include-ignored --exact --test-threads=1 "${last[@]}"
