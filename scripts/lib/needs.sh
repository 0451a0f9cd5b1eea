# shellcheck shell=bash
# What the project needs on a machine: each as a test, and the way to get it. Used by scripts/setup.

# need TEST PACKAGE... : the package is wanted when the command (or the path) is not there.
need() {
  local test=$1
  shift
  case $test in
    /*) [ ! -e "$test" ] || return 0 ;;
    *) ! have "$test" || return 0 ;;
  esac
  packages+=("$@")
}

postgres_bin() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1; }

collect_packages() {
  need curl curl ca-certificates
  need git git
  need gcc gcc libc6-dev # links Rust programs, and makes the local node's pause container
  need jq jq
  need tmux tmux
  need make make
  need pgrep procps
  need ip iproute2
  # Moves the clock of one controller in a test.
  need "/usr/lib/$(uname -m)-linux-gnu/faketime/libfaketimeMT.so.1" libfaketime
  docker_answers || need dockerd docker.io
  need docker docker.io
  have initdb || [ -x "$(postgres_bin)/initdb" ] || packages+=(postgresql)
  [ "$(choose_cluster)" = local-node ] || return 0
  need openssl openssl
  need iptables iptables
  need conntrack conntrack
  need runc runc
  need /usr/lib/cni/bridge containernetworking-plugins
  docker image inspect debian:trixie-slim >/dev/null 2>&1 || need debootstrap debootstrap
}

docker_answers() { have docker && timeout 5 docker version >/dev/null 2>&1; }

install_or_explain() {
  if ! is_debian; then
    say "This is not Debian. Please install, by whatever means this system has, what these Debian packages hold:"
    die "${packages[*]}"
  fi
  if ! is_root; then
    say "Packages are missing, and installing them needs root. Please run:"
    die "apt-get install --no-install-recommends ${packages[*]}"
  fi
  # Tests start servers of their own; the one that the package would start at once is not wanted.
  local main_cluster=/etc/postgresql-common/createcluster.d/operator.conf
  if [[ " ${packages[*]} " == *" postgresql "* ]] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p "$(dirname $main_cluster)"
    echo 'create_main_cluster = false' >$main_cluster
  fi
  step "installing with apt: ${packages[*]}" install_packages "${packages[@]}"
  rm -f $main_cluster
}

# at_least WANTED FOUND
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

collect_tools() {
  if ! have cargo; then
    for_hand+=("Rust $RUST or newer (with rustup: rustup toolchain install stable)")
  elif ! at_least "$RUST" "$(cargo --version | awk '{ print $2 }')"; then
    for_hand+=("Rust $RUST or newer; found $(cargo --version)")
  fi
  if [ "$(choose_cluster)" = local-node ] || ! have helm; then
    have go && at_least "$GO_AT_LEAST" "$(go env GOVERSION | sed 's/^go//; s/ .*//')" ||
      for_hand+=("Go $GO_AT_LEAST or newer (builds the local node, and Helm where there is none)")
  fi
  compose_works || get "Docker's compose plugin" compose_from_debian "docker compose (version 2)"
  have kubectl || get kubectl kubectl_from_debian kubectl
  # Go is known to be there, or its lack was noted above.
  have helm || ! have go || step "building Helm (3 minutes, once)" helm_from_source
}

# get WHAT FUNCTION BY_HAND
get() {
  if is_debian; then step "fetching $1 from Debian $NEWER" "$2"; else for_hand+=("$3"); fi
}

# The suite that has what the oldest supported Debian lacks. Unpacked, not installed: it works without root.
NEWER=trixie

compose_works() { docker compose version 2>/dev/null | grep 'v\?[2-9]\.' >/dev/null; }

compose_from_debian() {
  local dir plugins=${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins
  dir=$CACHE/unpacked/docker-compose
  unpack_from $NEWER docker-compose "$dir"
  mkdir -p "$plugins"
  install -m 0755 "$(find "$dir" -type f -name docker-compose -perm -u+x | head -n 1)" "$plugins/docker-compose"
  rm -rf "$dir"
  compose_works
}

kubectl_from_debian() {
  local dir=$CACHE/unpacked/kubectl
  unpack_from $NEWER kubectl "$dir"
  install -D -m 0755 "$dir/usr/bin/kubectl" "$CACHE/bin/kubectl"
  rm -rf "$dir"
  kubectl version --client
}

helm_from_source() { GOBIN=$CACHE/bin GOFLAGS=-mod=mod go install helm.sh/helm/v3/cmd/helm@v3.22.0; }
