# shellcheck shell=bash
# Takes the node down so that nothing is left: processes, mounts, links, iptables rules, cgroups, settings.

# Pods go the proper way first, so that their networks are undone and their programs may finish.
stop_pods() {
  running apiserver && running kubelet && running containerd || return 0
  admin delete pods --all --all-namespaces --wait=false --grace-period=10 >/dev/null 2>&1 || return 0
  # No task left means: containers ended, networks removed.
  wait_for 20 eval '[ -z "$(ctr_ tasks ls -q)" ]' || note "some pods did not stop in 20 s: killed"
}

kill_containers() {
  if running containerd; then
    local id
    for id in $(ctr_ tasks ls -q 2>/dev/null); do ctr_ tasks delete --force "$id" >/dev/null 2>&1 || true; done
    for id in $(ctr_ containers ls -q 2>/dev/null); do ctr_ containers rm "$id" >/dev/null 2>&1 || true; done
  fi
  # Shims of this containerd only: they carry its socket in their arguments.
  local pid
  for pid in $(pgrep -f "containerd-shim.* -address $SOCKET" || true); do
    pkill -9 -P "$pid" 2>/dev/null || true
    kill -9 "$pid" 2>/dev/null || true
  done
}

# Deepest first; lazily, because a process that just died may still hold one for a moment.
unmount_all() {
  awk -v dir="$DIR/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mount; do
    umount "$mount" 2>/dev/null || umount -l "$mount" 2>/dev/null || true
  done
}

# The pods' ends first: they outlive the bridge, and a pod's namespace that is left over (from a node whose folder
# is gone) would go on answering for an address that is given to another pod.
remove_links() {
  local port
  for port in $(ip -o link show master $BRIDGE 2>/dev/null | awk -F': ' '{ sub(/@.*/, "", $2); print $2 }'); do
    ip link del "$port" 2>/dev/null || true
  done
  ip link del $BRIDGE 2>/dev/null || true
  ip addr del "$IP/32" dev lo 2>/dev/null || true
  rm -rf /var/lib/cni/results/$CONTEXT-*
}

# kubelet's fixed places outside its own folder.
remove_fixed_places() {
  find /var/log/containers -maxdepth 1 -lname "$DIR/*" -delete 2>/dev/null || true
  rm -f /var/lib/kubelet/device-plugins/{kubelet.sock,kubelet_internal_checkpoint}
  # rmdir: a folder that holds something of another's stays.
  local dir
  for dir in /var/log/containers /var/lib/kubelet/{device-plugins,plugins_registry,} /usr/libexec/kubernetes/{kubelet-plugins/volume/exec,kubelet-plugins/volume,kubelet-plugins,}; do
    rmdir "$dir" 2>/dev/null || true
  done
}

remove_cgroups() {
  local dir
  find /sys/fs/cgroup -maxdepth 2 -type d \( -name kubepods -o -name k8s.io \) 2>/dev/null | while read -r dir; do
    find "$dir" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  done
}

restore_sysctls() {
  [ -e "$DIR/sysctls" ] || return 0
  local line
  while read -r line; do [ -n "${line#*=}" ] && sysctl -qw "$line" 2>/dev/null || true; done <"$DIR/sysctls"
}

# After a reboot what lay in memory is gone, and what was written about it misleads.
forget_last_boot() {
  [ "$(cat "$DIR/boot" 2>/dev/null)" = "$(boot_id)" ] && return 0
  if [ -e "$DIR/boot" ]; then
    note "the machine was restarted: the cluster is taken up again from its store"
    rm -rf "$DIR/containerd-state" "$DIR/addresses" "$DIR/pid" /var/lib/cni/results/$CONTEXT-*
  fi
  boot_id >"$DIR/boot"
}

teardown() {
  local name
  # First who would make new pods.
  for name in controller-manager scheduler provisioner; do stop_process "$DIR/pid/$name"; done
  stop_pods
  for name in kubelet proxy dns; do stop_process "$DIR/pid/$name"; done
  kill_containers
  stop_process "$DIR/pid/containerd"
  stop_process "$DIR/pid/apiserver" # last: the store is in it
  unmount_all
  remove_rules_of '^(KUBE|CNI)-'
  remove_links
  remove_cgroups
  remove_fixed_places
  restore_sysctls
  # The images stay (containerd's root), so that the next start need not load them again.
  rm -rf "${DIR:?}"/{etcd,kubelet,volumes,podlogs,addresses,containerd-state,containerd.sock.ttrpc,pid,boot,sysctls,admin.kubeconfig}
  rm -f "$OWNER"
}
