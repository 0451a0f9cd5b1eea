# shellcheck shell=bash
# kubelet, kube-proxy, the cluster's DNS, and volumes.

# What kubelet changes in the kernel's settings, to be put back by `down`.
SYSCTLS="vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes"
save_sysctls() {
  [ -e "$DIR/sysctls" ] && return 0
  local name
  for name in $SYSCTLS; do echo "$name=$(sysctl -n "$name" 2>/dev/null)"; done >"$DIR/sysctls.new"
  mv "$DIR/sysctls.new" "$DIR/sysctls"
}

kubelet() {
  mkdir -p "$DIR/kubelet"
  config kubelet "$DIR/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $IP
healthzBindAddress: 127.0.0.1
readOnlyPort: 0
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $DIR/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $DIR/pki/kubelet.crt
tlsPrivateKeyFile: $DIR/pki/kubelet.key
containerRuntimeEndpoint: unix://$SOCKET
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
clusterDNS: [$IP]
clusterDomain: cluster.local
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100   # nothing could be pulled again
podLogsDir: $DIR/podlogs
volumePluginDir: $DIR/kubelet/volume-plugins
Y
  component kubelet "$BIN" kubelet --config="$DIR/kubelet.yaml" --kubeconfig="$DIR/kubelet.kubeconfig" --hostname-override=$NODE \
    --node-ip=$IP --root-dir="$DIR/kubelet" --cert-dir="$DIR/kubelet/pki"
}

proxy() {
  config proxy "$DIR/proxy.yaml" <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
iptables: {localhostNodePorts: false}   # would need route_localnet, which opens 127/8 to the network
clusterCIDR: $PODS
bindAddress: $IP
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
clientConnection: {kubeconfig: $DIR/proxy.kubeconfig}
hostnameOverride: $NODE
nodePortAddresses: [$IP/32]
conntrack: {maxPerCore: 0}
Y
  component proxy "$BIN" kube-proxy --config="$DIR/proxy.yaml"
}

dns() {
  config dns "$DIR/Corefile" <<Y
.:53 {
  bind $IP
  errors
  cache 30
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $DIR/admin.kubeconfig $CONTEXT
  }
  forward . /etc/resolv.conf
}
Y
  component dns "$BIN" coredns -conf "$DIR/Corefile"
}

volumes() {
  # 0700: the folders below are open to every pod's user, the way to them is not.
  install -d -m 0700 "$DIR/volumes"
  admin apply -f - >/dev/null <<Y
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: standard
  annotations: {storageclass.kubernetes.io/is-default-class: "true"}
provisioner: operator.dev/host-path
reclaimPolicy: Delete
volumeBindingMode: Immediate
Y
  component provisioner "$BIN" provisioner --kubeconfig="$DIR/admin.kubeconfig" --storage-class=standard --root="$DIR/volumes"
}

# The second half alone may be what an earlier kubelet reported.
node_ready() { curl -fsS http://127.0.0.1:10248/healthz && admin get node "$NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' | grep -x True >/dev/null; }

node() {
  save_sysctls
  kubelet
  proxy
  dns
  volumes
  ready kubelet node_ready
  ready proxy curl -fsS http://127.0.0.1:10256/healthz
}
