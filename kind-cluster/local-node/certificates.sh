# shellcheck shell=bash
# The cluster's own authority, a certificate for each component, and the kubeconfigs made of them.

# sign NAME SUBJECT EXTENSIONS : in the current folder, by the authority in it.
sign() {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" -subj "$2" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -out "$1.crt" -extfile <(printf '%b' "$3")
  rm "$1.csr"
}

# kubeconfig USER FILE : self-contained, so that it may be copied.
kubeconfig() {
  local pki=$DIR/pki
  (umask 077 && cat >"$2.new") <<Y
apiVersion: v1
kind: Config
current-context: $CONTEXT
contexts:
- name: $CONTEXT
  context: {cluster: $CONTEXT, user: $1}
clusters:
- name: $CONTEXT
  cluster: {server: "https://$IP:$PORT", certificate-authority-data: $(base64 -w0 "$pki/ca.crt")}
users:
- name: $1
  user: {client-certificate-data: $(base64 -w0 "$pki/$1.crt"), client-key-data: $(base64 -w0 "$pki/$1.key")}
Y
  mv "$2.new" "$2"
}

certificates() {
  make_certificates
  local user
  for user in admin controller-manager scheduler kubelet proxy; do kubeconfig $user "$DIR/$user.kubeconfig"; done
}

make_certificates() {
  # Complete and good for another day? A run that was cut off leaves no folder of this name.
  if openssl x509 -checkend 86400 -noout -in "$DIR/pki/ca.crt" >/dev/null 2>&1; then return 0; fi
  rm -rf "$DIR/pki" "$DIR/pki.new"
  mkdir -p "$DIR/pki.new"
  (
    cd "$DIR/pki.new"
    umask 077
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -subj /CN=$CONTEXT -days 365 -out ca.crt -addext keyUsage=critical,keyCertSign,cRLSign
    local client=extendedKeyUsage=clientAuth
    sign apiserver /CN=kube-apiserver "subjectAltName=DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:$IP,IP:$FIRST_SERVICE\nextendedKeyUsage=serverAuth"
    sign kubelet "/O=system:nodes/CN=system:node:$NODE" "extendedKeyUsage=clientAuth,serverAuth\nsubjectAltName=DNS:$NODE,IP:$IP"
    sign admin /O=system:masters/CN=admin $client
    sign apiserver-kubelet /O=system:masters/CN=apiserver-kubelet $client
    sign controller-manager /CN=system:kube-controller-manager $client
    sign scheduler /CN=system:kube-scheduler $client
    sign proxy /CN=system:kube-proxy $client
    # Signs the service accounts' tokens.
    openssl ecparam -name prime256v1 -genkey -noout -out sa.key
    openssl ec -in sa.key -pubout -out sa.pub
  ) 2>"$DIR/log/openssl.log" || { cat "$DIR/log/openssl.log" >&2; die "openssl could not make the certificates"; }
  mv "$DIR/pki.new" "$DIR/pki"
}
