# shellcheck shell=bash
# containerd for the pods, and the image of the pause container.

runtime() {
  mkdir -p "$DIR"/{containerd,cni,podlogs}
  cat >"$DIR/cni/10-bridge.conflist" <<Y
{"cniVersion": "1.0.0", "name": "$CONTEXT", "plugins": [
  {"type": "bridge", "bridge": "$BRIDGE", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$DIR/addresses", "ranges": [[{"subnet": "$PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}},
  {"type": "firewall"}]}
Y
  config containerd "$DIR/containerd.toml" <<Y
version = 3
root = "$DIR/containerd"
state = "$DIR/containerd-state"
[grpc]
  address = "$SOCKET"
[plugins."io.containerd.internal.v1.opt"]
  path = "$DIR/opt"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "$PAUSE"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true     # a root without CAP_SYS_RESOURCE cannot give sandboxes -998
  netns_mounts_under_state_dir = true # so that whose they are can be seen when they must be removed
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "$DIR/cni"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
    SystemdCgroup = false
Y
  # The shim beside this containerd, not the older one of Docker's engine.
  PATH=$CACHE/containerd/usr/bin:$PATH component containerd "$CONTAINERD" --config "$DIR/containerd.toml"
  ready containerd ctr_ version
  pause_image
}

# The process that holds a pod's namespaces open: a dozen bytes of C in place of an image from a registry.
pause_image() {
  ctr_ images ls -q | grep -xF "$PAUSE" >/dev/null && return 0
  local dir
  dir=$(mktemp -d)
  echo '#include <unistd.h>
int main(void) { for (;;) pause(); }' | gcc -Os -static -s -x c - -o "$dir/pause"
  tar -C "$dir" -c pause | docker import --change 'ENTRYPOINT ["/pause"]' - "${PAUSE#docker.io/library/}" >/dev/null
  rm -r "$dir"
  load "${PAUSE#docker.io/library/}"
}

# load IMAGE... : copies from the local Docker engine, unless the node has that very image. Which one it has is
# written on the copy, because the two keep images under different digests.
load() {
  local image name id
  for image in "$@"; do
    case $image in */*) name=$image ;; *) name=docker.io/library/$image ;; esac
    id=$(docker image inspect --format '{{.Id}}' "$image") || die "no image $image in the local Docker engine"
    if ctr_ images ls "name==$name" | grep -F "operator.dev/docker-id=$id" >/dev/null; then continue; fi
    docker save "$image" | ctr_ images import --local - >/dev/null
    ctr_ images label "$name" "operator.dev/docker-id=$id" >/dev/null
    note "loaded $image"
  done
  prune
}

# An image that was replaced under its name stays under its digest. Kubelet would not remove it (it must never
# remove one that cannot be pulled), and every build would leave one. What still runs keeps its files.
prune() {
  ctr_ images ls | awk '
    NR > 1 && $1 ~ /^sha256:/ { target[$1] = $3; next }
    NR > 1 { named[$3] = 1 }
    END { for (id in target) if (!(target[id] in named)) print id }' | xargs -r "$CTR" --address "$SOCKET" --namespace k8s.io images rm >/dev/null
}
