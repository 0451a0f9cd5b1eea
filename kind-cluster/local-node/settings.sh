# shellcheck shell=bash disable=SC2034
# Where the node keeps what, and the addresses it takes. Sourced by the other files here.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/../../scripts/lib/common.sh"
. "$ROOT/scripts/lib/process.sh"
. "$ROOT/scripts/lib/iptables.sh"

DIR=$CACHE/local-node/state    # certificates, store, volumes, logs of this one cluster
OWNER=/run/operator-local-node # the machine's mark: who runs the one cluster it can have
CONTEXT=operator-local
NODE=local-node

# On the loopback link, but not in 127/8: Endpoints refuse loopback addresses.
IP=10.254.0.1
PORT=6443
PODS=10.253.0.0/24
SERVICES=10.96.0.0/16
FIRST_SERVICE=10.96.0.1
BRIDGE=opnode0
STORE=http://127.0.0.1:23790

KUBERNETES=1.36.1
# Kubernetes' OpenAPI breaks when built with Go 1.27; `go` itself fetches this one where another is installed.
TOOLCHAIN=go1.26.8

# The binary is named after its sources: another clone with the same sources finds it built.
sources_hash() { (cd "$HERE" && sha256sum ./*.go go.mod go.sum build.sh | sha256sum | cut -c1-12); }
BIN=$CACHE/local-node/$(sources_hash)/local-node

# The pods' containerd: newer than the one Docker's engine runs on, and in a folder of its own, beside it.
CONTAINERD=$CACHE/containerd/usr/bin/containerd
CTR=$CACHE/containerd/usr/bin/ctr
SOCKET=$DIR/containerd.sock
PAUSE=docker.io/library/local-node-pause:1

ctr_() { "$CTR" --address "$SOCKET" --namespace k8s.io "$@"; }
admin() { kubectl --kubeconfig "$DIR/admin.kubeconfig" --request-timeout=10s "$@"; }
running() { live_process "$DIR/pid/$1" >/dev/null; }

# component NAME COMMAND... : starts it unless it runs.
component() {
  running "$1" && return 0
  local name=$1
  shift
  start_process "$DIR/pid/$name" "$DIR/log/$name.log" "$@"
}

# config COMPONENT FILE : standard input into the file, unless it stands there: a component that runs has read it, and
# kube-proxy ends as soon as its file is written, whatever is in it. What was changed is read by a new process.
config() {
  local new
  new=$(cat)
  [ "$(cat "$2" 2>/dev/null)" != "$new" ] || return 0
  stop_process "$DIR/pid/$1"
  printf '%s\n' "$new" >"$2"
}

# ready WHAT COMMAND... : waits; says which component's log to read when it takes too long.
ready() {
  local name=$1
  shift
  wait_for 60 "$@" && return 0
  tail -n 15 "$DIR/log/$name.log" >&2 || true
  die "$name is not ready after 60 s; its log: $DIR/log/$name.log"
}
