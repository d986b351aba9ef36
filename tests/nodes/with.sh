#!/usr/bin/env bash
# Runs a command with a cluster of real nodes up. A cluster that was not there before is removed
# afterwards. On a machine that cannot have real nodes the command runs, too: each test then says that
# it is skipped, and why.
#
# ELECTION_OPERATOR_NODES_OPTIONAL=1: so it is where the programs of a node cannot be installed or built.
#
# ELECTION_OPERATOR_NODES_KUBECONFIG names another cluster, which is used as it is. It needs
# ELECTION_OPERATOR_NODES_LOAD, a command that gives it an image: docs/nodes.md.
#
#   with.sh COMMAND [ARGUMENTS…]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
programs() {
	[ -z "${ELECTION_OPERATOR_NODES_OPTIONAL:-}" ] || "$here/tools.sh" >/dev/null ||
		{ echo "programs that cannot be had here (see above)"; return 1; }
}
if [ -z "${ELECTION_OPERATOR_NODES_KUBECONFIG:-}" ]; then
	if missing=$("$here/tools.sh" missing) && missing=$(programs); then
		if ! "$here/nodes.sh" env >/dev/null 2>&1; then
			trap '"$here/nodes.sh" down' EXIT
			trap 'exit 130' INT TERM
		fi
		"$here/nodes.sh" up
		eval "$("$here/nodes.sh" env)"
	else
		ELECTION_OPERATOR_NODES_MISSING=$(echo "$missing" | paste -sd , | sed 's/,/, /g')
		export ELECTION_OPERATOR_NODES_MISSING
		echo "nodes: skipped: real nodes need $ELECTION_OPERATOR_NODES_MISSING" >&2
	fi
else
	: "${ELECTION_OPERATOR_NODES_LOAD:?is not set: the command that gives an image to the nodes, see docs/nodes.md}"
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	export ELECTION_OPERATOR_NODES_KIT=$work/kit
	(cd "$here" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$ELECTION_OPERATOR_NODES_KIT" ./kit)
	mkdir "$work/root"
	cp "$ELECTION_OPERATOR_NODES_KIT" "$work/root/kit"
	"$ELECTION_OPERATOR_NODES_KIT" image "$work/client.tar" election-operator.io/client:test "$work/root" \
		'{"Entrypoint": ["/kit"]}'
	sh -c "$ELECTION_OPERATOR_NODES_LOAD \"\$1\"" sh "$work/client.tar"
fi
started=$SECONDS
"$@"
echo "nodes: the cluster took $started s, and the rest $((SECONDS - started)) s" >&2
