# shellcheck shell=bash
# Takes rules out again that a daemon left behind.

# remove_rules_of CHAINS [INTERFACES] : chains whose names match, all rules that jump to them, and all rules that
# name a matching interface. Each table in one transaction that touches nothing else, so that what others change
# at the same time is not overwritten (as saving and restoring whole tables would).
remove_rules_of() {
  local command table
  for command in iptables ip6tables; do
    have $command || continue
    for table in nat filter mangle raw; do
      $command -w -t $table -S 2>/dev/null | awk -v table=$table -v chains="$1" -v interfaces="${2:-^$}" '
        $1 == "-N" && $2 ~ chains { chain[++n] = $2; next }
        $1 == "-A" && $2 !~ chains {
          mine = 0
          for (i = 3; i <= NF; i++) {
            if ($(i - 1) == "-j" && $i ~ chains) mine = 1
            if (($(i - 1) == "-i" || $(i - 1) == "-o") && $i ~ interfaces) mine = 1
          }
          if (mine) { sub(/^-A/, "-D"); rule[++r] = $0 }
        }
        END {
          if (n + r == 0) exit
          print "*" table
          for (i = 1; i <= r; i++) print rule[i]
          for (i = 1; i <= n; i++) print "-F " chain[i]
          for (i = 1; i <= n; i++) print "-X " chain[i]
          print "COMMIT"
        }' | $command-restore -w --noflush || note "some $command rules of table $table could not be removed"
    done
  done
}
