# shellcheck shell=bash
# Daemons that our scripts start by hand, each known by a record: process id, its start time, the boot.
# All three, because after a crash or a reboot the same id may belong to someone else's process.

boot_id() { cat /proc/sys/kernel/random/boot_id; }
# Field 22 of stat, counted after the command's name, which may contain blanks.
started_at() { local stat; stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1; set -- ${stat##*) }; echo "${20}"; }

# Dead, but still in the table, because process 1 is slow to reap or does not: no longer running.
is_zombie() { [ "$(awk '/^State:/ { print $2 }' "/proc/$1/status" 2>/dev/null)" = Z ]; }

# record_process FILE PID
record_process() { mkdir -p "$(dirname "$1")"; echo "$2 $(started_at "$2" || echo gone) $(boot_id)" >"$1"; }

# live_process FILE : prints the process id if that very process still lives.
live_process() {
  local pid started boot
  [ -r "$1" ] && read -r pid started boot <"$1" || return 1
  [ "$boot" = "$(boot_id)" ] && [ "$(started_at "$pid")" = "$started" ] || return 1
  ! is_zombie "$pid" || return 1
  echo "$pid"
}

# start_process FILE LOG COMMAND... : in a session of its own, so that Ctrl-C in the terminal spares it. The process
# writes its record itself, before it becomes the command: no moment at which it runs and nobody knows.
start_process() {
  local file=$1 log=$2
  shift 2
  mkdir -p "$(dirname "$file")" "$(dirname "$log")"
  rm -f "$file"
  # shellcheck disable=SC2016  # expanded by the inner shell
  setsid bash -c '. "$1"; record_process "$2" $$; shift 2; exec "$@"' start "${BASH_SOURCE[0]}" "$file" "$@" \
    >>"$log" 2>&1 </dev/null 3>&- 9>&- &
  wait_for 10 test -s "$file"
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
