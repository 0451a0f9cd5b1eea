# shellcheck shell=bash
# Packages from Debian: the machine's own suite through the ordinary apt, and single programs from newer
# suites without touching the machine's apt at all. Mirror and keyring are the machine's own.

is_debian() { [ -r /etc/debian_version ] && have apt-get; }
codename() { (. /etc/os-release && echo "${VERSION_CODENAME:-}"); }

# The machine's own main source, as "URI KEYRING"; KEYRING may be empty. Both of apt's formats are read.
own_source() {
  local name
  name=$(codename)
  {
    cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk -v suite="$name" '
      function flush() { if (uri != "" && (" " suites " ") ~ (" " suite " ") && (" " comps " ") ~ / main /) print uri, key; uri = suites = comps = key = "" }
      /^[[:space:]]*$/ { flush() }
      /^URIs:/ { uri = $2 }  /^Signed-By:/ { key = $2 }
      /^Suites:/ { $1 = ""; suites = $0 }  /^Components:/ { $1 = ""; comps = $0 }
      END { flush() }'
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | awk -v suite="$name" '
      $1 == "deb" {
        key = ""; line = $0
        if (match(line, /\[[^]]*\]/)) {
          options = substr(line, RSTART + 1, RLENGTH - 2); sub(/\[[^]]*\]/, "", line)
          if (match(options, /signed-by=[^ ]*/)) key = substr(options, RSTART + 10, RLENGTH - 10)
        }
        n = split(line, word, " ")
        if (word[3] == suite) for (i = 4; i <= n; i++) if (word[i] == "main") print word[2], key
      }'
  } | head -n 1
}

keyring() {
  local key=$1
  [ -n "$key" ] || key=/usr/share/keyrings/debian-archive-keyring.gpg
  [ -r "$key" ] && echo "$key"
}

# apt_of SUITE ARGUMENTS... : apt-get with lists, cache and source of its own, so that a newer suite never
# becomes a candidate for the machine's upgrades and no pin has to keep it back. Nor does it see what is installed:
# a package of the same name from elsewhere, with a higher version, would be its candidate.
apt_of() {
  local suite=$1 dir=$CACHE/apt/$1
  shift
  apt-get -qq -o Dir::Etc::sourcelist="$dir/source.sources" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
    -o Dir::State::lists="$dir/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$dir/cache" -o APT::Sandbox::User="$(id -un)" "$@"
}

# unpack_from SUITE PACKAGE DIR : the package's newest version in that suite, unpacked, not installed.
unpack_from() {
  local suite=$1 package=$2 into=$3 dir=$CACHE/apt/$1 uri key deb
  read -r uri key < <(own_source) || die "no main source of $(codename) in /etc/apt: $package of $suite cannot be fetched"
  key=$(keyring "$key") || die "no archive keyring: install debian-archive-keyring"
  mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/deb"
  if [ ! -e "$dir/updated" ] || [ -n "$(find "$dir/updated" -mmin +720)" ]; then
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$uri" "$suite" "$key" >"$dir/source.sources"
    apt_of "$suite" update
    touch "$dir/updated"
  fi
  rm -f "$dir/deb/${package}"_*.deb
  (cd "$dir/deb" && apt_of "$suite" download "$package")
  deb=$(find "$dir/deb" -name "${package}_*.deb" | head -n 1)
  [ -n "$deb" ] || die "$package was not found in $suite"
  rm -rf "$into.new" && mkdir -p "$into.new"
  dpkg-deb -x "$deb" "$into.new"
  rm -rf "$into" && mv "$into.new" "$into"
  rm -f "$deb"
}

# install_packages PACKAGE... : from the machine's own suite.
install_packages() {
  export DEBIAN_FRONTEND=noninteractive
  # policy-rc.d style starts are not wanted: our scripts decide which daemons run.
  apt-get -qq -o DPkg::Lock::Timeout=300 update
  apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
}
