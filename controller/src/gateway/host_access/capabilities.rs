//! Capabilities, as people write them.

use std::collections::BTreeSet;

/// With one of these a process can leave its container, or meddle with the host.
const DANGEROUS: [&str; 11] = [
    "ALL",
    "SYS_ADMIN",
    "SYS_PTRACE",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_BOOT",
    "DAC_READ_SEARCH",
    "NET_ADMIN",
    "BPF",
    "PERFMON",
    "SYS_TIME",
];

/// What a container has without a word.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// A capability's name, without its prefix and in capitals.
pub(super) fn named(capability: &str) -> String {
    let name = capability.to_ascii_uppercase();
    name.strip_prefix("CAP_").map_or(name.clone(), str::to_owned)
}

pub(super) fn is_dangerous(capability: &str) -> bool {
    DANGEROUS.contains(&named(capability).as_str())
}

/// What a container has with these added and dropped, as the engine reckons it. `ALL` stands for itself.
pub(crate) fn effective(added: Option<&[String]>, dropped: Option<&[String]>) -> BTreeSet<String> {
    let added: BTreeSet<String> = added.into_iter().flatten().map(|capability| named(capability)).collect();
    let dropped: BTreeSet<String> = dropped.into_iter().flatten().map(|capability| named(capability)).collect();
    if dropped.contains("ALL") {
        return added;
    }
    let kept = DEFAULT.iter().map(|capability| (*capability).to_owned()).filter(|name| !dropped.contains(name));
    kept.chain(added.iter().cloned()).collect()
}
