# shellcheck shell=bash
# API server (with the store inside), controller manager, scheduler.

api_ready() { curl -fsS --max-time 2 --cacert "$DIR/pki/ca.crt" --cert "$DIR/pki/admin.crt" --key "$DIR/pki/admin.key" "https://$IP:$PORT/readyz"; }

control_plane() {
  local pki=$DIR/pki
  ip -o addr show dev lo | grep -F " $IP/32 " >/dev/null || ip addr add "$IP/32" dev lo
  mkdir -p "$DIR/etcd"
  ETCD_DIR=$DIR/etcd ETCD_LISTEN=$STORE component apiserver "$BIN" kube-apiserver --etcd-servers=$STORE \
    --bind-address=$IP --advertise-address=$IP --secure-port=$PORT --service-cluster-ip-range=$SERVICES \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
    --kubelet-client-certificate="$pki/apiserver-kubelet.crt" --kubelet-client-key="$pki/apiserver-kubelet.key" --kubelet-certificate-authority="$pki/ca.crt" \
    --kubelet-preferred-address-types=InternalIP --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true
  ready apiserver api_ready
  component controller-manager "$BIN" kube-controller-manager --kubeconfig="$DIR/controller-manager.kubeconfig" --bind-address=127.0.0.1 --leader-elect=false \
    --use-service-account-credentials --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" \
    --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key" \
    --allocate-node-cidrs --cluster-cidr=$PODS --node-cidr-mask-size=24
  component scheduler "$BIN" kube-scheduler --kubeconfig="$DIR/scheduler.kubeconfig" --bind-address=127.0.0.1 --leader-elect=false
}
