# shellcheck shell=bash
# What the releases of this cluster call themselves on the Docker engine: RELEASE-ID, where the id is in their
# database. Everything that they make there has it as the value of a label, and several clusters may share an
# engine, so `down` must know it. It is noted as soon as it is known, because a cluster that is gone cannot say it.

LABEL=operator.dev/installation
INSTALLATIONS_FILE=$CACHE/installations

# Asks the controllers in the cluster: their metrics say it, and so does the log of their start.
cluster_installations() {
  local namespace pod
  [ -r "$CLUSTER_KUBECONFIG" ] && have kubectl || return 0
  local kubectl=(timeout 10 kubectl --kubeconfig "$CLUSTER_KUBECONFIG" --request-timeout=5s)
  "${kubectl[@]}" get pods --all-namespaces --selector app.kubernetes.io/part-of=operator,app.kubernetes.io/component=controller \
    --output 'jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{"\n"}{end}' 2>/dev/null |
    while read -r namespace pod; do
      "${kubectl[@]}" get --raw "/api/v1/namespaces/$namespace/pods/$pod:8080/proxy/metrics" 2>/dev/null |
        sed -n 's/^operator_installation{.*name="\([^"]*\)".*/\1/p' || true
      "${kubectl[@]}" --namespace "$namespace" logs "$pod" 2>/dev/null | head -n 200 |
        sed -n 's/.*"message":"connected","installation":"\([^"]*\)".*/\1/p' || true
    done | grep -E '^[A-Za-z0-9._-]+$' | sort -u || true
}

known_installations() { [ ! -e "$INSTALLATIONS_FILE" ] || cat "$INSTALLATIONS_FILE"; }

# Adds what the cluster says to what is known.
note_installations() {
  local all
  all=$({ known_installations; cluster_installations; } | sort -u)
  [ -z "$all" ] || printf '%s\n' "$all" >"$INSTALLATIONS_FILE"
}

# Every value of the label on the engine, one a line.
labelled_on_engine() {
  {
    docker ps --all --filter "label=$LABEL" --format "{{.Label \"$LABEL\"}}"
    docker network ls --filter "label=$LABEL" --format "{{.Label \"$LABEL\"}}"
    docker volume ls --filter "label=$LABEL" --format "{{.Label \"$LABEL\"}}"
  } | sort -u | sed '/^$/d'
}

# What tests and benches leave when they are cut off: their own values, which no release has.
of_a_test() { [[ $1 =~ ^test-optest[0-9a-f]{8}$ || $1 =~ ^bench-[0-9]{4}-[0-9]{2}- ]]; }

# remove_installation VALUE : containers first, because they hold the networks and volumes.
remove_installation() {
  local ids filter="label=$LABEL=$1"
  ids=$(docker ps --all --quiet --filter "$filter"); [ -z "$ids" ] || xargs docker rm --force --volumes <<<"$ids"
  ids=$(docker network ls --quiet --filter "$filter"); [ -z "$ids" ] || xargs docker network rm <<<"$ids"
  ids=$(docker volume ls --quiet --filter "$filter"); [ -z "$ids" ] || xargs docker volume rm --force <<<"$ids"
}
