#!/usr/bin/env bash
# Writes a kubeconfig with everything inside.
#
#   kubeconfig.sh PKI-FOLDER USER SERVER OUT
set -euo pipefail
umask 077
encoded() { base64 -w0 <"$1"; }
cat >"$4" <<END
apiVersion: v1
kind: Config
clusters:
  - name: nodes
    cluster:
      server: $3
      certificate-authority-data: $(encoded "$1/ca.crt")
users:
  - name: $2
    user:
      client-certificate-data: $(encoded "$1/$2.crt")
      client-key-data: $(encoded "$1/$2.key")
contexts:
  - name: nodes
    context: {cluster: nodes, user: $2}
current-context: nodes
END
