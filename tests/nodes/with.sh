#!/usr/bin/env bash
# Runs a command with a cluster of real nodes up. A cluster that was not there before is removed afterwards. With
# ELECTION_OPERATOR_NODES_KUBECONFIG set, that cluster is used as it is. Where real nodes are not possible the command
# runs all the same, and each test says that it is skipped, and why.
#
#   with.sh COMMAND [ARGUMENTS…]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -z "${ELECTION_OPERATOR_NODES_KUBECONFIG:-}" ]; then
	if missing=$("$here/tools.sh" missing); then
		if ! "$here/nodes.sh" env >/dev/null 2>&1; then
			trap '"$here/nodes.sh" down' EXIT
			trap 'exit 130' INT TERM
		fi
		"$here/nodes.sh" up
		eval "$("$here/nodes.sh" env)"
	else
		ELECTION_OPERATOR_NODES_MISSING=$(echo "$missing" | paste -sd , | sed 's/,/, /g')
		export ELECTION_OPERATOR_NODES_MISSING
	fi
fi
"$@"
