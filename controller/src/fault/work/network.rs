//! Partitions and delays, in the network namespace that this process stands in.
//!
//! A partition is a table of its own, named by its key, so that removing it removes exactly its rules; a delay is a
//! queue whose handle is made of the key. Both go with the namespace: a container that is started again has neither.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::process::{Command, Stdio};

use crate::error::chain;
use crate::printable;
use crate::wall::{interfaces, nft};

/// Before a partition's key in the name of its table.
const PREFIX: &str = "split_";

/// Drops what comes from these addresses and goes to them.
pub(super) fn partition(mark: &str, from: &[IpAddr]) -> Result<String, String> {
    set(&rules(mark, from)?)?;
    let standing = tables()?;
    if !standing.contains(&table(mark)?) {
        return Err(format!("nft took the rules, and lists none of them: {}", standing.join(", ")));
    }
    Ok(format!("addresses cut off: {}", from.len()))
}

/// Removes this partition's rules, if they stand.
pub(super) fn rejoin(mark: &str) -> Result<String, String> {
    let table = table(mark)?;
    remove(tables()?.into_iter().filter(|name| *name == table))
}

/// Removes the rules of all partitions.
pub(super) fn heal() -> Result<String, String> {
    remove(tables()?.into_iter())
}

fn remove(tables: impl Iterator<Item = String>) -> Result<String, String> {
    let mut removed = 0;
    for table in tables {
        set(&format!("delete table inet {table}\n"))?;
        removed += 1;
    }
    Ok(format!("partitions removed: {removed}"))
}

fn set(rules: &str) -> Result<(), String> {
    nft(&["--file", "-"], rules).map(|_| ()).map_err(|error| chain(&error))
}

/// The partitions that stand here.
fn tables() -> Result<Vec<String>, String> {
    let listed = nft(&["list", "tables"], "").map_err(|error| chain(&error))?;
    let names = listed.lines().filter_map(|line| line.trim().strip_prefix("table inet "));
    Ok(names.filter(|name| name.starts_with(PREFIX)).map(str::to_owned).collect())
}

fn table(mark: &str) -> Result<String, String> {
    if mark.is_empty() || mark.len() > 32 || !mark.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("{mark:?} is no mark"));
    }
    Ok(format!("{PREFIX}{mark}"))
}

/// The rules in one transaction, in place of those that stood under this name.
fn rules(mark: &str, from: &[IpAddr]) -> Result<String, String> {
    let table = table(mark)?;
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = from.iter().copied().partition(IpAddr::is_ipv4);
    let mut text = format!("table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n");
    // Before Docker's own rules and those of whoever lives there.
    for (chain, hook, end) in [("from", "input", "saddr"), ("to", "output", "daddr")] {
        let _ = writeln!(text, "chain {chain} {{\ntype filter hook {hook} priority -300; policy accept;");
        for (family, addresses) in [("ip", &v4), ("ip6", &v6)] {
            if !addresses.is_empty() {
                let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                let _ = writeln!(text, "{family} {end} {{ {} }} drop", list.join(", "));
            }
        }
        text += "}\n";
    }
    Ok(text + "}\n")
}

/// Delays what leaves by any interface.
pub(super) fn delay(mark: &str, delay_ms: u64, jitter_ms: u64) -> Result<String, String> {
    let (handle, devices) = (handle(mark)?, devices()?);
    let (delay, jitter) = (format!("{delay_ms}ms"), format!("{jitter_ms}ms"));
    let mut set = Vec::new();
    for device in &devices {
        if stands(device, &handle)? {
            continue;
        }
        let mut words = vec!["qdisc", "add", "dev", device, "root", "handle", &handle, "netem", "delay", &delay];
        if jitter_ms > 0 {
            words.push(&jitter);
        }
        // All of them or none: half a delay is another fault than the one that was asked for.
        if let Err(why) = tc(&words) {
            for device in set {
                tc(&["qdisc", "del", "dev", device, "root"])?;
            }
            return Err(explained(&why));
        }
        set.push(device);
    }
    Ok(format!("{delay_ms} ms on {}", devices.join(", ")))
}

/// Removes this delay where it stands.
pub(super) fn hasten(mark: &str) -> Result<String, String> {
    let handle = handle(mark)?;
    let mut removed = 0;
    for device in devices()? {
        if stands(&device, &handle)? {
            tc(&["qdisc", "del", "dev", &device, "root"])?;
            removed += 1;
        }
    }
    Ok(format!("interfaces freed: {removed}"))
}

/// A queue's handle: 16 bits, of which the highest numbers are the kernel's own.
fn handle(mark: &str) -> Result<String, String> {
    let number = mark.get(..4).and_then(|head| u32::from_str_radix(head, 16).ok());
    let number = number.ok_or_else(|| format!("{mark:?} is no mark"))?;
    Ok(format!("{:x}:", number % 0xff00 + 1))
}

fn devices() -> Result<Vec<String>, String> {
    let table = std::fs::read_to_string("/proc/self/net/dev");
    let table = table.map_err(|error| format!("the interfaces of this network namespace cannot be listed: {error}"))?;
    interfaces(&table).map_err(|error| chain(&error))
}

fn stands(device: &str, handle: &str) -> Result<bool, String> {
    let listed = tc(&["qdisc", "show", "dev", device])?;
    Ok(listed.lines().any(|line| line.trim().starts_with(&format!("qdisc netem {handle} "))))
}

fn tc(words: &[&str]) -> Result<String, String> {
    let output = Command::new("tc").args(words).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("tc cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("tc {}: {}", words.join(" "), printable::short_line(&String::from_utf8_lossy(&output.stderr), 300)))
}

/// What the refusals that are to be expected mean.
fn explained(why: &str) -> String {
    let lower = why.to_lowercase();
    if lower.contains("qdisc kind is unknown") || lower.contains("qdisc not found") || lower.contains("no such file") {
        return format!(
            "this kernel has no netem, so nothing can be delayed: load the module sch_netem on the engine's host, or \
             use pause or throttle instead ({why})"
        );
    }
    if lower.contains("file exists") || lower.contains("exclusivity flag on") {
        return format!("another delay stands there already: take it back first ({why})");
    }
    why.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_a_table_of_its_own_and_drops_both_ways() {
        let from = ["10.1.0.2", "10.1.0.3", "fd00::2"].map(|address| address.parse().unwrap());
        insta::assert_snapshot!(rules("00ff", &from).unwrap(), @r"
        table inet split_00ff
        delete table inet split_00ff
        table inet split_00ff {
        chain from {
        type filter hook input priority -300; policy accept;
        ip saddr { 10.1.0.2, 10.1.0.3 } drop
        ip6 saddr { fd00::2 } drop
        }
        chain to {
        type filter hook output priority -300; policy accept;
        ip daddr { 10.1.0.2, 10.1.0.3 } drop
        ip6 daddr { fd00::2 } drop
        }
        }
        ");
        for wrong in ["", "x", "00; flush ruleset", "0 0"] {
            assert!(rules(wrong, &from).unwrap_err().contains("no mark"), "{wrong:?}");
        }
    }

    #[test]
    fn a_handle_is_never_one_of_the_kernel() {
        assert_eq!(handle("0000aaaa").unwrap(), "1:");
        assert_eq!(handle("ffffaaaa").unwrap(), "100:");
        assert_eq!(handle("fefeaaaa").unwrap(), "feff:");
        assert!(handle("é").is_err() && handle("00").is_err());
    }

    #[test]
    fn a_kernel_without_netem_is_said_plainly() {
        let said = explained("tc qdisc add: Error: Specified qdisc kind is unknown.");
        assert!(said.starts_with("this kernel has no netem"), "{said}");
        assert!(explained("RTNETLINK answers: File exists").starts_with("another delay"));
        assert_eq!(explained("tc: Operation not permitted"), "tc: Operation not permitted");
    }
}
