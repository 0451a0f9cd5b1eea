# shellcheck shell=bash
# Daemons that our scripts start by hand, each known by a record: process id, its start time, the boot.
# All three, because after a crash or a reboot the same id may belong to someone else's process.

boot_id() { cat /proc/sys/kernel/random/boot_id; }
# Field 22 of stat, counted after the command's name, which may contain blanks.
started_at() { local stat; stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1; set -- ${stat##*) }; echo "${20}"; }

# record_process FILE PID
record_process() { mkdir -p "$(dirname "$1")"; echo "$2 $(started_at "$2" || echo gone) $(boot_id)" >"$1"; }

# live_process FILE : prints the process id if that very process still lives.
live_process() {
  local pid started boot
  [ -r "$1" ] && read -r pid started boot <"$1" || return 1
  [ "$boot" = "$(boot_id)" ] && [ "$(started_at "$pid")" = "$started" ] || return 1
  # A zombie is not alive: where process 1 does not reap, a stopped daemon stays in the table.
  [ "$(awk '/^State:/ { print $2 }' "/proc/$pid/status" 2>/dev/null)" != Z ] || return 1
  echo "$pid"
}

# start_process FILE LOG COMMAND... : in a session of its own, so that Ctrl-C in the terminal spares it.
start_process() {
  local file=$1 log=$2
  shift 2
  mkdir -p "$(dirname "$file")" "$(dirname "$log")"
  setsid "$@" >>"$log" 2>&1 </dev/null 3>&- 9>&- &
  record_process "$file" $!
}

# stop_process FILE [SECONDS] : asks, waits, insists; forgets the record.
stop_process() {
  local pid
  if pid=$(live_process "$1"); then
    kill "$pid" 2>/dev/null || true
    if ! wait_for "${2:-10}" eval "! live_process '$1'"; then
      say "process $pid ($(basename "$1")) did not stop in ${2:-10} s: killed"
      kill -9 "$pid" 2>/dev/null || true
      wait_for 5 eval "! live_process '$1'" || true
    fi
  fi
  rm -f "$1"
}
