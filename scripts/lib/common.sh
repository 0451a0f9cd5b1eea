# shellcheck shell=bash
# Sourced by every script of the project: where things are, and how a script speaks.
# Nothing here changes the machine.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# What is costly to make (tools, the local node's binary, the base image's staging) is kept outside
# the clone, so that a second clone does not make it again. `make clean` removes it.
CACHE=${OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/operator}
# The machine's own tools come first; ours fill the gaps. sbin: a plain user's PATH often lacks it.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:$CACHE/bin"
# Where kind-cluster/up leaves the cluster's kubeconfig.
CLUSTER_KUBECONFIG=$CACHE/kubeconfig
export ROOT CACHE CLUSTER_KUBECONFIG

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" = 0 ]; }

# Where cargo leaves what it builds.
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}/debug
# compile WHAT... : `cargo build`, always of the whole workspace. Package by package, the crates that they share would be
# compiled once for each, with other features every time. BINARIES in the environment names a folder of binaries that are
# ready: then nothing is compiled that is to be found there.
compile() { (cd "$ROOT" && cargo build --workspace "$@"); }
# compile_product WHAT... : the same for what people use and what is measured, with our own largest crate optimised too, and
# without debug assertions (overflow is still checked). Tests do without: it takes three times as
# long to compile.
compile_product() {
  local crate=profile.dev.package.operator
  compile --config "$crate.opt-level=1" --config "$crate.debug-assertions=false" "$@"
}

# step WHAT COMMAND... : says what is done, runs it, says how long it took. The command's own output
# goes to a log that is shown only when it fails (all of it live with VERBOSE=1).
step() {
  local what=$1 began=$EPOCHREALTIME log status=0
  shift
  say "==> $what"
  # A subshell under `set -e`, and not `COMMAND || status=$?`: behind || bash would go on after a failed line
  # of a function.
  set +e
  if [ -n "${VERBOSE:-}" ]; then
    (set -e; "$@") >&2
    status=$?
  else
    log=$(mktemp)
    # fd 3: for the few words that a command wants to be read while it works (see `note`).
    (set -e; "$@") 3>&2 >"$log" 2>&1
    status=$?
    [ "$status" = 0 ] || tail -n 60 "$log" >&2
    rm -f "$log"
  fi
  set -e
  if [ "$status" = 0 ]; then
    say "    done in $(seconds_since "$began") s"
  else
    say "    FAILED after $(seconds_since "$began") s: $what"
  fi
  return "$status"
}

# note TEXT : a line for the reader from inside a step.
note() { if [ -e /dev/fd/3 ] && [ -z "${VERBOSE:-}" ]; then printf '    %s\n' "$*" >&3; else say "    $*"; fi; }

seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# wait_for SECONDS COMMAND... : true as soon as the command succeeds, false at the limit.
wait_for() {
  local limit=$(($(date +%s) + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$(date +%s)" -lt "$limit" ] || return 1
    sleep 0.1
  done
}

# Two runs at once would build and start the same things twice: the second waits and says so.
# Daemons that a script starts must close this descriptor (9>&-), or they would hold the lock for ever.
take_lock() {
  mkdir -p "$CACHE"
  [ -z "${OPERATOR_LOCKED:-}" ] || return 0 # a script that ours called
  exec 9>>"$CACHE/lock"
  if ! flock -n 9; then
    say "another run of these scripts holds $CACHE/lock ($(cat "$CACHE/lock.holder" 2>/dev/null || true)); waiting for it"
    flock -w 3600 9 || die "gave up after an hour"
  fi
  echo "process $$, $0, in $ROOT" >"$CACHE/lock.holder"
  export OPERATOR_LOCKED=$$
}
