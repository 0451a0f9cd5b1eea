# shellcheck shell=bash
# Sourced by the scripts `build` and `fault` of the folders in subjects/: images of a subject, its containers, and
# how its load goes. The caller has set `project` (fault) or `here` and `root` (build).

die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# ── images ──────────────────────────────────────────────────────────────────────────────────────

BASE=debian:trixie-slim
CONTENT=operator.dev/content
staging=
clean_staging() { [ -z "$staging" ] || rm -rf "$staging"; }

need_engine() {
  docker info >/dev/null 2>&1 || die "Docker's engine does not answer; start it first (scripts/docker-engine does)"
}
need_base() {
  docker image inspect "$BASE" >/dev/null 2>&1 || docker pull --quiet "$BASE" >/dev/null 2>&1 ||
    die "the image $BASE is not here and cannot be pulled; scripts/base-image makes it"
}

# image NAME DOCKERFILE FILE... : built when something in it has changed; the hash covers the base, the recipe and
# every file, and is the image's label.
image() {
  local name=$1 recipe=$2 hash file
  shift 2
  hash=$({
    docker image inspect --format '{{.Id}}' "$BASE"
    for file in "$here/$recipe" "$@"; do sha256sum <"$file"; done
  } | sha256sum | cut -c1-16)
  if [ "$(docker image inspect --format "{{index .Config.Labels \"$CONTENT\"}}" "$name" 2>/dev/null)" = "$hash" ]; then
    printf '%s is up to date\n' "$name"
    return
  fi
  clean_staging
  trap clean_staging EXIT
  staging=$(mktemp -d)
  cp "$here/$recipe" "$staging/Dockerfile"
  for file in "$@"; do
    cp "$file" "$staging/"
    # Debug information is not needed inside; a machine without binutils gets the larger file. A script stays.
    strip "$staging/$(basename "$file")" 2>/dev/null || true
  done
  printf 'building %s\n' "$name"
  # Not BuildKit: it is a separate install on some machines, and nothing here needs it.
  if ! DOCKER_BUILDKIT=0 docker build --quiet --label "$CONTENT=$hash" --tag "$name" "$staging" >"$staging/log" 2>&1; then
    cat "$staging/log" >&2
    die "$name could not be built"
  fi
}

# ── containers ──────────────────────────────────────────────────────────────────────────────────

# ids [FILTER] : this project's containers, by their label, so that no other one is ever touched
ids() { docker ps --all --quiet --filter "label=com.docker.compose.project=$project" "$@"; }

# service NAME : its container
service() {
  local id
  id=$(ids --filter "label=com.docker.compose.service=$1" --filter "label=com.docker.compose.oneoff=False" | head -n 1)
  [ -n "$id" ] || die "the project $project has no container of the service $1; is it up? (docker compose up -d --wait)"
  printf '%s' "$id"
}

# start_all : unpauses and starts whatever is paused or has ended
start_all() {
  local id
  for id in $(ids --filter status=paused); do docker unpause "$id" >/dev/null; done
  for id in $(ids --filter status=exited --filter status=created); do docker start "$id" >/dev/null; done
}

# run_stray SERVICE COMMAND : a command that goes on in a service's container, as something that somebody forgot there
run_stray() { docker exec --detach "$(service "$1")" sh -c ": stray; $2"; }

# end_strays SERVICE
end_strays() {
  # shellcheck disable=SC2016  # expanded in the container
  docker exec "$(service "$1")" sh -c '
    for file in /proc/[0-9]*/cmdline; do
      case $(tr "\0" " " <"$file" 2>/dev/null) in "sh -c : stray;"*) pid=${file#/proc/}; kill -9 "${pid%/cmdline}" ;; esac
    done; true'
}

# ── the load ────────────────────────────────────────────────────────────────────────────────────

# load_flows : says how the load generator's last seconds went; false if something failed in them
load_flows() {
  local lines
  lines=$(docker logs --since 4s "$(service load)" 2>/dev/null | grep '^{"second"' | tail -n 3) || true
  [ -n "$lines" ] || die "the load generator has said nothing in the last seconds"
  printf '%s\n' "$lines" | awk '
    function number(name,  text) {
      if (!match($0, "\"" name "\": ?[0-9]+")) return 0
      text = substr($0, RSTART, RLENGTH); sub(/.*: ?/, "", text); return text + 0
    }
    { ok += number("ok"); denied += number("denied"); errors += number("errors"); last = $0 }
    END {
      kinds = last; sub(/.*"error_kinds": ?/, "", kinds); sub(/}$/, "", kinds)
      printf "last %d s: %.0f ok/s, %.0f denied/s, %.0f errors/s %s\n", NR, ok / NR, denied / NR, errors / NR, kinds
      exit !(ok > 0 && errors == 0)
    }'
}
