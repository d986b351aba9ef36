# Process 1 of the control plane's namespaces.
# nodes.sh puts the variables before it: dir, pki, tools, bridge, kit, admin.
set -eu
ip link set lo up
ip link add cluster type bridge
ip addr add "$bridge.1/24" dev cluster
ip link set cluster up
sysctl -q -w net.ipv4.ip_forward=1

run() { # program arguments…: started again whenever it ends, as the kubelet does with a static pod
	local program=$1
	shift
	while :; do
		"$program" "$@" >>"$dir/log/$(basename "$program").log" 2>&1 || true
		sleep 1
	done &
}
run "$tools/etcd" --data-dir "$dir/etcd" --listen-client-urls http://127.0.0.1:2379 \
	--advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
run "$tools/kube-apiserver" --etcd-servers http://127.0.0.1:2379 --secure-port 6443 --advertise-address "$bridge.1" \
	--tls-cert-file "$pki/server.crt" --tls-private-key-file "$pki/server.key" --client-ca-file "$pki/ca.crt" \
	--service-account-issuer https://kubernetes.default.svc --service-account-key-file "$pki/service-accounts.pub" \
	--service-account-signing-key-file "$pki/service-accounts.key" --service-cluster-ip-range 10.96.0.0/16 \
	--authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged \
	--kubelet-client-certificate "$pki/kubelet-client.crt" --kubelet-client-key "$pki/kubelet-client.key" \
	--kubelet-preferred-address-types InternalIP
# The QPS and all timings are the defaults: users wait for them, too.
run "$tools/kube-controller-manager" --kubeconfig "$pki/controller-manager.kubeconfig" --leader-elect=false \
	--use-service-account-credentials --root-ca-file "$pki/ca.crt" \
	--service-account-private-key-file "$pki/service-accounts.key"
run "$tools/kube-scheduler" --kubeconfig "$pki/scheduler.kubeconfig" --leader-elect=false
# The names of Services.
run "$kit" dns "$bridge.1:53" "$tools/kubectl" --kubeconfig "$admin" --request-timeout=5s
wait
