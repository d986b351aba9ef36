#!/usr/bin/env bash
# Runs a command with the test control plane up. If the control plane was not up before, the script
# removes it afterwards.
#
#   with.sh COMMAND [ARGUMENTS…]
set -euo pipefail
cluster=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/cluster.sh
if ! "$cluster" env >/dev/null 2>&1; then
	trap '"$cluster" down' EXIT
	trap 'exit 130' INT TERM
fi
"$cluster" up
eval "$("$cluster" env)"
"$@"
