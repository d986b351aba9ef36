# Process 1 of a node. When it ends, the kernel kills every process of the node.
# nodes.sh puts the variables before it: node, dir, pki, tools, cgroup, address, gateway, pods,
# registry, peers.
set -eu

# Mounts of this node alone. Images and volumes are in its folder and outlive a kill; /run does not.
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mkdir -p /run/lock /var/log/pods
mount --bind "$dir/pods" /var/log/pods
mount -t tmpfs tmpfs /var/lib
mkdir -p /var/lib/kubelet /var/lib/containerd /var/lib/cni
mount --bind "$dir/kubelet" /var/lib/kubelet
mount --bind "$dir/containerd" /var/lib/containerd
# The kubelet would set these sysctls for the whole machine. It gets copies.
mkdir -p /run/sysctl
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys \
	kernel/keys/root_maxbytes; do
	[ -e "/proc/sys/$setting" ] || continue
	cat "/proc/sys/$setting" >"/run/sysctl/${setting//\//.}"
	mount --bind "/run/sysctl/${setting//\//.}" "/proc/sys/$setting"
done
mount --make-rshared /
hostname "$node"

# The network: nodes.sh moves eth0 in.
ip link set lo up
for _ in $(seq 200); do
	ip link show eth0 >/dev/null 2>&1 && break
	sleep 0.05
done
ip addr add "$address/24" dev eth0
ip link set eth0 up
ip route add default via "$gateway"
for peer in "${peers[@]}"; do
	# shellcheck disable=SC2086
	ip route add $peer
done
# A packet to a deleted pod is dropped, as with Calico. Else it would leave by the default route.
ip route add blackhole "$pods.0/24"
sysctl -q -w net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0

mkdir -p "$dir/net.d"
cat >"$dir/net.d/10-pods.conflist" <<END
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipam": {
    "type": "host-local", "ranges": [[{"subnet": "$pods.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]
  }},
  {"type": "portmap", "capabilities": {"portMappings": true}}
]}
END
# The registry of nodes.sh, if it is started, speaks plain HTTP.
mkdir -p "$dir/certs.d/$registry"
cat >"$dir/certs.d/$registry/hosts.toml" <<END
server = "http://$registry"
[host."http://$registry"]
END
cat >"$dir/containerd.toml" <<END
version = 3
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs", "io.containerd.differ.v1.erofs"]

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".registry]
config_path = "$dir/certs.d"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "registry.k8s.io/pause:3.10"

[plugins."io.containerd.cri.v1.runtime"]
# Without CAP_SYS_RESOURCE runc may not lower an OOM score, and every sandbox would fail.
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "$dir/net.d"
[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = false
END
cat >"$dir/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  x509: {clientCAFile: $pki/ca.crt}
cgroupDriver: cgroupfs
cgroupRoot: $cgroup
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
# The DNS of control.sh knows Services, and no name outside the cluster.
clusterDNS: [$gateway]
clusterDomain: cluster.local
resolvConf: ""
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%}
# The kubelet could not pull an image that it collected.
imageGCHighThresholdPercent: 100
containerLogMaxSize: 100Mi
END
cat >"$dir/proxy.yaml" <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: $pki/proxy.kubeconfig}
hostnameOverride: $node
clusterCIDR: 10.244.0.0/16
detectLocalMode: ClusterCIDR
# These sysctls belong to the whole machine.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
END

export PATH="$tools:$PATH"
run() { # program arguments…: started again whenever it ends, as systemd does
	local program=$1
	shift
	while :; do
		"$tools/$program" "$@" >>"$dir/log/$program.log" 2>&1 || true
		sleep 1
	done &
}
run containerd --config "$dir/containerd.toml"
for _ in $(seq 300); do
	[ -S /run/containerd/containerd.sock ] && break
	sleep 0.1
done
run kubelet --config "$dir/kubelet.yaml" --kubeconfig "$pki/$node.kubeconfig" --hostname-override "$node" \
	--node-ip "$address"
run kube-proxy --config "$dir/proxy.yaml"
wait
