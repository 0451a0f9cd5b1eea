# shellcheck shell=bash
# Sourced by scripts/demo: one fault, and what comes of it, as a log. Where that stands: SUBJECT, namespace, operator, LIMIT.

is_open() { name=$(incidents | head -n 1); name=${name#incident/}; [ -n "$name" ]; }
field() { k get incident "$name" --output "jsonpath={$1}"; }
has_session() { [ -n "$(field .status.sessionId)" ]; }
finished() { [ "$(field '.status.conditions[?(@.type=="Finished")].status')" = True ]; }
title() { printf '\n\033[1m%s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi; }
stands_still() { ! flows; }

one_fault() {
  title "1. The system works"
  "$SUBJECT/fault" status

  title "2. A fault: $FAULT"
  "$SUBJECT/fault" "$FAULT"
  wait_for 30 stands_still || die "the fault shows no effect on the load"
  "$SUBJECT/fault" status || true

  title "3. An Incident opens itself"
  opened=$EPOCHREALTIME
  name=
  wait_for 120 is_open || { k describe subject "$name_of_subject"; die "no Incident was opened within two minutes"; }
  is_open # in this shell
  printf '%s\n\n' "$(field .spec.title)"
  if ! wait_for 60 has_session && ! finished; then
    k describe incident "$name"
    die "no session began within 60 s: $(field .status.message)"
  fi
  model=$(field .status.model)
  case $model in
    offline-*) say "The offline model plays ($model): a written script, not reasoning. Set ANTHROPIC_API_KEY for a real one." ;;
    *) say "The model is $model." ;;
  esac

  title "4. The agent at work"
  timeout "$LIMIT" "$operator" audit follow "$name" --namespace "$namespace" || true
  wait_for 60 finished || { k describe incident "$name"; die "the Incident did not end within $LIMIT s"; }
  took=$(seconds_since "$opened")

  title "5. How it ended"
  k get incidents "$name"
  k get incidents "$name" --output wide
  phase=$(field .status.phase)
  printf '\nroot cause: %s\n' "$(field .status.rootCause)"
  printf 'the whole trail: %s audit show %s -n %s\n\n' "operator" "$name" "$namespace"
  case $phase in
    Resolved) ;;
    *) die "the Incident ended $phase: $(field .status.message)" ;;
  esac
  wait_for 30 flows || { "$SUBJECT/fault" status || true; die "the agent says that it repaired the fault, but the load does not flow"; }
  "$SUBJECT/fault" status
  say ""
  say "$phase $took s after the fault; the demo took $(seconds_since "$began") s. \`make down\` takes all of it away."
}
