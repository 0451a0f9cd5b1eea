//! Hands the walls to the kernel, and looks whether they stand.

use std::fs;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use super::Rules;
use super::ruleset::{Ruleset, TABLE, render};

/// Why there is no wall.
#[derive(Debug, thiserror::Error)]
pub enum WallError {
    /// The interfaces are not known.
    #[error("the interfaces of this network namespace cannot be listed")]
    Interfaces(#[source] io::Error),
    /// An interface has a name that could be read as something else.
    #[error("the interface {0:?} has a name that no interface of an engine has")]
    Name(String),
    /// The program is missing.
    #[error("nft cannot be run")]
    Run(#[source] io::Error),
    /// The rules were refused.
    #[error("nft refused: {words}{}", hint(words))]
    Refused {
        /// What it said.
        words: String,
    },
    /// The rules were taken, and are not there.
    #[error("nft took the rules of the table {table} and lists others: {listing}")]
    NotThere {
        /// The table.
        table: &'static str,
        /// What it listed.
        listing: String,
    },
}

/// The one part of the walls that an older kernel lacks.
fn hint(words: &str) -> &'static str {
    if words.contains("egress") || words.contains("not supported") {
        " (frames are filtered by the egress hook of nftables: Linux 5.16 or newer with CONFIG_NETFILTER_EGRESS)"
    } else {
        ""
    }
}

/// Sets the walls in the network namespace of this process, in place of those that stood there.
pub fn apply(rules: &Rules) -> Result<(), WallError> {
    let devices = fs::read_to_string("/proc/self/net/dev").map_err(WallError::Interfaces)?;
    let interfaces = interfaces(&devices)?;
    let ruleset = render(rules, &interfaces);
    nft(&["--file", "-"], &ruleset.text)?;
    for table in ["inet", "netdev"] {
        let listing = nft(&["list", "table", table, TABLE], "")?;
        if !stands(table, &listing, &ruleset, &interfaces) {
            return Err(WallError::NotThere { table, listing: one_line(listing.as_bytes()) });
        }
    }
    Ok(())
}

/// All but the loopback interface, out of the kernel's table.
pub(crate) fn interfaces(devices: &str) -> Result<Vec<String>, WallError> {
    let names = devices.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    names
        .filter(|name| *name != "lo")
        .map(|name| if name.bytes().all(plain) { Ok(name.to_owned()) } else { Err(WallError::Name(name.to_owned())) })
        .collect()
}

fn stands(table: &str, listing: &str, ruleset: &Ruleset, interfaces: &[String]) -> bool {
    let lines = || listing.lines().map(str::trim);
    let hooked = |start: &str| lines().any(|line| line.starts_with(start) && line.ends_with("policy drop;"));
    let hooks = match table {
        "inet" => ["output", "forward"].iter().all(|hook| hooked(&format!("type filter hook {hook} "))),
        _ => interfaces.iter().all(|name| hooked(&format!("type filter hook egress device \"{name}\" "))),
    };
    hooks && lines().filter(|line| line.ends_with(" accept")).count() == ruleset.accepts
}

/// Runs it, and gives what it printed.
pub(crate) fn nft(arguments: &[&str], input: &str) -> Result<String, WallError> {
    let mut command = Command::new("nft");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(WallError::Run)?;
    if let Some(mut stdin) = child.stdin.take() {
        // It reads to the end before it answers; one that ended before says why in its own words.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(WallError::Run)?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(WallError::Refused { words: one_line(&output.stderr) })
    }
}

/// The first words, in one line: they go into an error.
fn one_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(600).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_all_but_the_loopback() {
        let table =
            "Inter-|   Receive  |  Transmit\n face |bytes packets|bytes\n    lo:  0 0\n  eth0: 1 2\neth10:3 4\n";
        assert_eq!(interfaces(table).unwrap(), ["eth0", "eth10"]);
        assert!(interfaces("a\"b: 1\n").is_err());
    }

    #[test]
    fn a_wall_with_a_hole_does_not_stand() {
        let ruleset = Ruleset { text: String::new(), accepts: 1 };
        let eth0 = "type filter hook egress device \"eth0\" priority filter; policy drop;";
        let good =
            format!("table netdev operator {{\n\tchain frames {{\n\t\t@ll,96,16 0x806 accept\n\t}}\n\t\t{eth0}\n}}");
        let interfaces = ["eth0".to_owned(), "eth1".to_owned()];
        assert!(stands("netdev", &good, &ruleset, &interfaces[..1]));
        assert!(!stands("netdev", &good, &ruleset, &interfaces));
        assert!(!stands("netdev", &good.replace("policy drop", "policy accept"), &ruleset, &interfaces[..1]));
        assert!(!stands("netdev", &good.replace("0x806 accept", "0x806 drop"), &ruleset, &interfaces[..1]));
        assert!(!stands("inet", &good, &ruleset, &[]));
    }
}
