# shellcheck shell=bash disable=SC2034
# Sourced by up, down and load: which of the two kinds of cluster this machine has or can have.

. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib/common.sh"
LOCAL_NODE=$ROOT/kind-cluster/local-node/local-node
KIND_NAME=operator
# Which one runs, so that `down` and `load` need not guess: "kind" or "local-node".
CHOICE=$CACHE/cluster

kind_runs() { have kind && kind get clusters 2>/dev/null | grep -xF "$KIND_NAME" >/dev/null; }

# kind brings its node as an image: useless where that is neither here nor can be pulled.
kind_has_image() {
  [ -n "$(docker image ls -q kindest/node 2>/dev/null)" ] && return 0
  # The name only asks whether a registry answers; kind takes the version that belongs to it.
  timeout 15 docker manifest inspect kindest/node:v1.33.1 >/dev/null 2>&1
}

# CLUSTER=kind|local-node overrides what is found.
choose_cluster() {
  if [ -n "${CLUSTER:-}" ]; then echo "$CLUSTER"
  elif kind_runs; then echo kind
  elif [ -r "$CHOICE" ]; then cat "$CHOICE"
  elif have kind && kind_has_image; then echo kind
  else echo local-node
  fi
}

# The folder of the Docker engine's socket, as a pod sees it on its node.
socket_directory() { if [ "$1" = kind ]; then echo /host-run; else echo /var/run; fi; }
