# shellcheck shell=bash
# What scripts/up tells Helm, and what it tells the reader when Helm gives up.

NAMESPACE=operator-system

image_id() { docker image inspect --format '{{.Id}}' "$1"; }
# JSON is YAML; jq quotes whatever stands in a variable.
yaml_string() { jq -Rn --arg text "$1" '$text'; }

# In a file of mode 0600, not on a command line: it may hold the key.
write_values() {
  cat <<Y
imageIds:
  operator: $(image_id operator:dev)
  offlineModel: $(image_id operator-offline-model:dev)
  postgres: $(image_id operator-postgres:dev)
docker:
  socketDirectory: $(socket_directory "$(choose_cluster)")
model:
  name: $(yaml_string "${OPERATOR_MODEL:-}")
  summaryName: $(yaml_string "${OPERATOR_SUMMARY_MODEL:-}")
  baseUrl: $(yaml_string "${ANTHROPIC_BASE_URL:-}")
  apiKey: $(yaml_string "${ANTHROPIC_API_KEY:-}")
offlineModel:
  enabled: $(if [ -n "${ANTHROPIC_API_KEY:-}" ]; then echo false; else echo true; fi)
Y
}

collect_scripts() {
  local file
  for file in "$ROOT"/subjects/*/offline.yaml; do
    [ ! -e "$file" ] || scripts+=(--set-file "offlineModel.scripts.$(basename "$(dirname "$file")")=$file")
  done
}

# A `helm upgrade` that was killed leaves a release that says "another operation is in progress" for ever. Its
# record alone is dropped; what it had made is taken over by the next upgrade. But not its Job: the next one has
# the same number, and a Job cannot be changed.
forget_broken_upgrade() {
  local selector='owner=helm,name in (operator,operator-crds),status in (pending-install,pending-upgrade,pending-rollback)' broken
  broken=$(kubectl --namespace "$NAMESPACE" get secret --selector "$selector" --output name)
  [ -n "$broken" ] || return 0
  say "==> an earlier installation was cut off: taking it up"
  kubectl --namespace "$NAMESPACE" delete --selector "$selector" secret >/dev/null
  kubectl --namespace "$NAMESPACE" delete --selector app.kubernetes.io/component=migrate job >/dev/null
}

diagnose() {
  local pod
  say ""
  say "--- pods"
  kubectl --namespace "$NAMESPACE" get pods,jobs,persistentvolumeclaims -o wide >&2 || return 0
  say "--- warnings"
  kubectl --namespace "$NAMESPACE" get events --field-selector type=Warning --sort-by .lastTimestamp 2>/dev/null | tail -n 15 >&2
  for pod in $(kubectl --namespace "$NAMESPACE" get pods -o json | jq -r '
      .items[] | select(.status.phase != "Succeeded")
      | select([.status.conditions[]? | select(.type == "Ready" and .status == "True")] | length == 0) | .metadata.name'); do
    say "--- $pod: last words"
    kubectl --namespace "$NAMESPACE" logs "$pod" --all-containers --prefix --tail 15 >&2 || true
    kubectl --namespace "$NAMESPACE" logs "$pod" --all-containers --prefix --previous --tail 15 2>/dev/null >&2 || true
  done
}
