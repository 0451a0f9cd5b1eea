# shellcheck shell=bash
# Compiles the node's binary: 8 to 16 minutes on two cores the first time, a minute with Go's build cache.

build() {
  [ ! -x "$BIN" ] || return 0
  have go || die "Go is missing: the local node is built from source with $TOOLCHAIN"
  local version=k8s.io/component-base/version
  mkdir -p "$(dirname "$BIN")"
  # Renamed at the end, so that a build that was cut off is not taken for a binary.
  (cd "$HERE" && GOTOOLCHAIN=$TOOLCHAIN GOFLAGS=-mod=readonly CGO_ENABLED=0 go build -trimpath -o "$BIN.new" \
    -ldflags "-s -w -X $version.gitVersion=v$KUBERNETES -X $version.gitMajor=1 -X $version.gitMinor=${KUBERNETES:2:2} -X $version.gitTreeState=clean" .)
  mv "$BIN.new" "$BIN"
}
