#!/usr/bin/env bash
# A Kubernetes cluster with real nodes: kubelet, containerd, runc, CNI and kube-proxy. All of it runs in
# network, mount and pid namespaces of this machine, without a container engine. Linux, as root.
#
#   nodes.sh up              create it: a control plane and three nodes, all Ready; or mend what is left of it
#   nodes.sh down            remove it and everything it wrote
#   nodes.sh env             print the variables the tests read, for: eval "$(tests/nodes/nodes.sh env)"
#   nodes.sh kubeconfig      print the path of the administrator's kubeconfig
#   nodes.sh load IMAGE.tar  give an image to every node
#   nodes.sh registry        print the address of a registry that this machine and the nodes reach, by plain
#                            HTTP; start it if need be. It forgets everything with the cluster
#   nodes.sh kill NODE       end a node as a power cut does
#   nodes.sh cut NODE        take a node off the network; its pods go on running
#   nodes.sh mend NODE       bring a node back that was killed or cut
#   nodes.sh enter NODE COMMAND [ARGUMENTS…]  run a command in a node's namespaces (NODE may be control)
#
# ELECTION_OPERATOR_NODES names the cluster (default: election-operator-nodes). Clusters of different
# names live side by side. The machine gets two things for each cluster: a veth interface to a /30 of
# 198.18.0.0/18, where its API server listens, and cgroups of its name. The script reads and changes no
# kubeconfig and no current context of the user.
set -euo pipefail
# Of the other test cluster: here kubelet and control plane have one version.
unset ELECTION_OPERATOR_KUBERNETES
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=${ELECTION_OPERATOR_NODES:-election-operator-nodes}
cache=${ELECTION_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/election-operator}
state=$cache/nodes/$name
admin=$state/kubeconfig
nodes=(node-1 node-2 node-3)
# An address inside the cluster's own network namespaces: it cannot clash with the machine's.
bridge=10.89.0

say() { echo "nodes: $*" >&2; }
die() { say "$*"; exit 1; }
[[ $name =~ ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$ ]] || die "ELECTION_OPERATOR_NODES=$name is no name for a cluster"

kubectl() { "$tools/kubectl" --kubeconfig "$admin" --request-timeout=20s "$@"; }

# Process 1 of a node or of the control plane, if it runs: the process that runs that folder's script.
# A process id in a file proves nothing: after a reboot another process may have it.
first() { # node
	local process words
	for process in /proc/[0-9]*; do
		mapfile -d '' -t words 2>/dev/null <"$process/cmdline" || continue
		[ "${words[1]:-}" = "$state/$1/start" ] && { echo "${process#/proc/}"; return; }
	done 2>/dev/null
	true
}

# Started programs must not inherit the locks (8, 9).
enter() { # node command…
	local process
	process=$(first "$1")
	[ -n "$process" ] || die "$1 does not run"
	shift
	nsenter --target "$process" --mount --net --pid --uts --ipc "$@" 8>&- 9>&-
}

stop() { # node: its process 1, and by that the kernel ends everything in it
	local process
	process=$(first "$1")
	[ -n "$process" ] || return 0
	kill -KILL "$process" 2>/dev/null || true
	for _ in $(seq 100); do
		[ -e "/proc/$process" ] || return 0
		sleep 0.05
	done
	die "cannot end $1 (process $process)"
}

cgroup_folders() { # node
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		echo "/sys/fs/cgroup/$name-$1"
	else
		local controller
		for controller in /sys/fs/cgroup/*; do
			[ -L "$controller" ] || [ ! -e "$controller/cgroup.procs" ] || echo "$controller/$name-$1"
		done
	fi
}
make_cgroups() { # node
	local folder of
	for folder in $(cgroup_folders "$1"); do
		of=${folder%/*}
		mkdir -p "$folder"
		# cgroup v2: the kubelet wants these controllers in its root, as every container runtime does.
		if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
			echo "+cpu +cpuset +memory +pids" >"$of/cgroup.subtree_control"
			echo "+cpu +cpuset +memory +pids" >"$folder/cgroup.subtree_control"
		fi
		if [ -e "$folder/cpuset.mems" ] && [ -e "$of/cpuset.mems" ]; then
			cat "$of/cpuset.cpus" >"$folder/cpuset.cpus"
			cat "$of/cpuset.mems" >"$folder/cpuset.mems"
		fi
	done
}
remove_cgroups() { # node
	local folder
	for folder in $(cgroup_folders "$1"); do
		for _ in $(seq 40); do
			[ -e "$folder" ] || break
			find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
		done
	done
}

alive() {
	[ -e "$state/.created" ] && [ -n "$(first control)" ] &&
		kubectl --request-timeout=5s get --raw /readyz >/dev/null 2>&1
}

remove() {
	local node
	for node in "${nodes[@]}" control; do stop "$node"; done
	for node in "${nodes[@]}"; do remove_cgroups "$node"; done
	rm -rf --one-file-system "$state"
}

# A free /30 between this machine and the API server. The interface has its number in the name.
choose_link() {
	local number
	for number in $(seq 0 63); do
		ip link show "eonodes$number" >/dev/null 2>&1 && continue
		ip -4 addr | grep -q "198\.18\.$number\." && continue
		echo "$number"
		return
	done
	die "there is no free network in 198.18.0.0/18"
}

# Starts a folder's script as process 1 of new namespaces, and waits until it has them.
spawn() { # node
	local process
	setsid env -i PATH="$PATH" HOME=/root unshare --fork --pid --mount --net --uts --ipc --mount-proc "$state/$1/start" \
		</dev/null >>"$state/$1/log/start.log" 2>&1 8>&- 9>&- &
	for _ in $(seq 100); do
		process=$(first "$1")
		[ -n "$process" ] && { echo "$process"; return; }
		sleep 0.05
	done
	tail -n 20 "$state/$1/log/start.log" >&2
	die "cannot start $1"
}

start_control() {
	local number=$1 process
	mkdir -p "$state/control/log"
	"$here/pki.sh" "$state/pki" "$bridge.1" "198.18.$number.2" "${nodes[@]}" >"$state/control/log/pki.log" 2>&1 ||
		{ cat "$state/control/log/pki.log" >&2; die "openssl could not make the certificates"; }
	local server=https://$bridge.1:6443
	"$here/kubeconfig.sh" "$state/pki" admin "https://198.18.$number.2:6443" "$admin"
	for user in controller-manager scheduler proxy "${nodes[@]}"; do
		"$here/kubeconfig.sh" "$state/pki" "$user" "$server" "$state/pki/$user.kubeconfig"
	done
	{
		echo "#!/bin/bash"
		printf '%s=%q\n' dir "$state/control" pki "$state/pki" tools "$tools" bridge "$bridge" \
			kit "$state/kit" admin "$admin"
		cat "$here/control.sh"
	} >"$state/control/start"
	chmod +x "$state/control/start"
	process=$(spawn control)
	ip link add "eonodes$number" type veth peer name machine netns "$process"
	ip addr add "198.18.$number.1/30" dev "eonodes$number"
	ip link set "eonodes$number" up
	enter control sh -c "ip addr add 198.18.$number.2/30 dev machine && ip link set machine up"
	for _ in $(seq 600); do
		kubectl --request-timeout=2s get --raw /readyz >/dev/null 2>&1 && return
		[ -n "$(first control)" ] || break
		sleep 0.2
	done
	tail -n 5 "$state"/control/log/*.log >&2
	die "the control plane does not become ready"
}

# The address of the control plane that this machine and the nodes reach.
outer() { sed -n 's|.*server: https://\(.*\):6443$|\1|p' "$admin"; }

registry_answers() { (exec 3<>"/dev/tcp/$(outer)/5000") 2>/dev/null; }
start_registry() {
	local crane
	crane=$("$here/../../release/tools.sh" crane)/crane
	enter control setsid "$crane" registry serve --address :5000 </dev/null >>"$state/control/log/registry.log" 2>&1 9>&- &
	for _ in $(seq 100); do
		registry_answers && return
		sleep 0.1
	done
	tail -n 5 "$state/control/log/registry.log" >&2
	die "the registry does not start"
}

number_of() { # node
	local place
	for place in "${!nodes[@]}"; do
		[ "${nodes[$place]}" = "$1" ] && { echo $((place + 1)); return; }
	done
	die "there is no node $1: ${nodes[*]}"
}

start_node() { # node
	local node=$1 dir=$state/$1 number process peer
	number=$(number_of "$node")
	mkdir -p "$dir"/{log,kubelet,containerd,cni,pods}
	make_cgroups "$node"
	{
		echo "#!/bin/bash"
		printf '%s=%q\n' node "$node" dir "$dir" pki "$state/pki" tools "$tools" cgroup "/$name-$node" \
			address "$bridge.1$number" gateway "$bridge.1" pods "10.244.$number" \
			registry "$(outer):5000"
		for peer in "${!nodes[@]}"; do
			[ "${nodes[$peer]}" = "$node" ] || printf 'peers+=(%q)\n' "10.244.$((peer + 1)).0/24 via $bridge.1$((peer + 1))"
		done
		cat "$here/node.sh"
	} >"$dir/start"
	chmod +x "$dir/start"
	process=$(spawn "$node")
	ip link add "$node" netns "$(first control)" type veth peer name eth0 netns "$process"
	enter control sh -c "ip link set $node master cluster up && ip route replace 10.244.$number.0/24 via $bridge.1$number"
	for _ in $(seq 300); do
		enter "$node" "$tools/ctr" --address /run/containerd/containerd.sock version >/dev/null 2>&1 && break
		sleep 0.1
	done
	local image
	for image in "$state"/images/*.tar; do import "$node" "$image"; done
}

import() { # node image
	enter "$1" "$tools/ctr" --address /run/containerd/containerd.sock --namespace k8s.io \
		images import --all-platforms "$2" >>"$state/$1/log/import.log" 2>&1 ||
		{ tail -n 3 "$state/$1/log/import.log" >&2; die "$1 does not take the image $2"; }
}

# The images that the cluster and examples/ name, out of one static program. Fails if they are there.
make_images() {
	local root=$state/images/root application
	mkdir -p "$root"
	(cd "$here" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$state/kit" ./kit) ||
		die "cannot build the program of the images"
	! cmp --silent "$state/kit" "$root/kit" || return 1
	cp "$state/kit" "$root/kit"
	"$state/kit" image "$state/images/pause.tar" registry.k8s.io/pause:3.10 "$root" \
		'{"Entrypoint": ["/kit", "pause"]}' || die "cannot pack the images"
	application=$(sed -n 's/^ *image: *\(.*agnhost.*\)$/\1/p' "$here"/../../examples/*.yaml | sort -u)
	"$state/kit" image "$state/images/application.tar" "$application" "$root" '{"Entrypoint": ["/kit"]}'
	"$state/kit" image "$state/images/client.tar" election-operator.io/client:test "$root" '{"Entrypoint": ["/kit"]}'
}

create() {
	local node number
	say "starting $name"
	mkdir -p "$state/images"
	exec 8>"$cache/nodes/.creating"
	flock 8
	number=$(choose_link)
	make_images
	start_control "$number"
	exec 8>&-
	touch "$state/.created"
}

mend() { # node
	if [ -n "$(first "$1")" ]; then
		enter control ip link set "$1" up
	else
		remove_cgroups "$1"
		start_node "$1"
	fi
}

until_ready() {
	# An API server that has just started refuses a request now and then.
	for _ in 1 2 3; do
		kubectl wait --for=create node "${nodes[@]}" --timeout=60s --request-timeout=0 >/dev/null &&
			kubectl wait --for=condition=Ready node "${nodes[@]}" --timeout=120s --request-timeout=0 >/dev/null &&
			return
		sleep 1
	done
	tail -n 5 "$state"/node-*/log/{containerd,kubelet}.log >&2
	die "not every node becomes Ready"
}

command=${1:-}
case $command in
up | down | env | kubeconfig | registry) ;;
load | kill | cut | mend) [ $# -eq 2 ] || die "$command what?" ;;
enter) [ $# -ge 3 ] || die "enter which node, and run what?" ;;
*) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

mkdir -p "$cache/nodes"
if [ "$command" != down ]; then
	if [ "$command" = up ]; then
		missing=$("$here/tools.sh" missing) || die "real nodes need $(echo "$missing" | paste -sd , | sed 's/,/, /g')"
	fi
	tools=$("$here/tools.sh")
	# A test may have stopped the API server: it enters the control plane to resume it.
	[ "$command" = up ] || [ "$command" = enter ] || alive || die "$name is not up; start it with: make nodes-up"
fi
case $command in
up)
	exec 9>"$cache/nodes/.$name.lock"
	flock 9
	if ! alive; then
		[ -e "$state" ] && say "removing what is left of an earlier $name" && remove
		create
	elif make_images; then
		for node in "${nodes[@]}"; do
			for image in "$state"/images/*.tar; do [ -z "$(first "$node")" ] || import "$node" "$image"; done
		done
	fi
	for node in "${nodes[@]}"; do mend "$node"; done
	until_ready
	say "$name is up; kubectl --kubeconfig $admin"
	;;
down)
	exec 9>"$cache/nodes/.$name.lock"
	flock 9
	[ -e "$state" ] || { say "there is no $name"; exit 0; }
	remove
	say "$name is gone"
	;;
kubeconfig) echo "$admin" ;;
env)
	# The commands are for a shell.
	script=$(printf %q "$here/nodes.sh")
	printf 'export %s=%q\n' \
		ELECTION_OPERATOR_NODES_KUBECONFIG "$admin" \
		ELECTION_OPERATOR_NODES_TOOLS "$tools" \
		ELECTION_OPERATOR_NODES_KIT "$state/kit" \
		ELECTION_OPERATOR_NODES_LOAD "$script load" \
		ELECTION_OPERATOR_NODES_REGISTRY "$script registry" \
		ELECTION_OPERATOR_NODES_CUT "$script cut" \
		ELECTION_OPERATOR_NODES_ENTER "$script enter" \
		ELECTION_OPERATOR_NODES_MEND "$script mend"
	;;
load)
	image=$state/images/$(basename "$2" .tar).tar
	[ "$2" -ef "$image" ] || cp "$2" "$image"
	for node in "${nodes[@]}"; do
		[ -z "$(first "$node")" ] || import "$node" "$image"
	done
	;;
registry)
	exec 9>"$cache/nodes/.$name.lock"
	flock 9
	registry_answers || start_registry
	echo "$(outer):5000"
	;;
kill)
	number_of "$2" >/dev/null
	stop "$2"
	;;
cut)
	number_of "$2" >/dev/null
	enter control ip link set "$2" down
	;;
mend)
	number_of "$2" >/dev/null
	mend "$2"
	;;
enter)
	shift
	enter "$@"
	;;
esac
