#!/usr/bin/env bash
# Makes the certificates of one cluster: an authority, the API server's two, and one for each user.
#
#   pki.sh FOLDER BRIDGE-ADDRESS OUTER-ADDRESS NODE…
set -euo pipefail
folder=$1 bridge=$2 outer=$3
shift 3
umask 077
mkdir -p "$folder"
cd "$folder"

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
certificate() { # name subject extensions
	key "$1"
	openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
	openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -out "$1.crt" \
		-extfile <(printf 'keyUsage=digitalSignature\n%s\n' "$3")
	rm "$1.csr"
}
user() { certificate "$1" "$2" extendedKeyUsage=clientAuth; } # name subject

key ca
openssl req -x509 -new -key ca.key -subj "/CN=election-operator-nodes" -days 365 -out ca.crt
key service-accounts
openssl pkey -in service-accounts.key -pubout -out service-accounts.pub

names="IP:$bridge,IP:$outer,IP:10.96.0.1,IP:127.0.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
certificate server "/CN=kube-apiserver" "extendedKeyUsage=serverAuth
subjectAltName=$names,DNS:kubernetes.default.svc.cluster.local"
user kubelet-client "/O=system:masters/CN=kube-apiserver-kubelet-client"
user admin "/O=system:masters/CN=admin"
user controller-manager "/CN=system:kube-controller-manager"
user scheduler "/CN=system:kube-scheduler"
user proxy "/CN=system:kube-proxy"
for node; do user "$node" "/O=system:nodes/CN=system:node:$node"; done
