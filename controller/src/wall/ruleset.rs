//! The walls in the words of nftables.

use std::fmt::{LowerHex, Write as _};
use std::net::IpAddr;

use ipnet::IpNet;

use super::Rules;
use super::destinations::{Destination, list};

/// The name of both tables.
pub(super) const TABLE: &str = "operator";

/// What nftables reads, and how to see that it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ruleset {
    /// The text of one transaction: what stood there before goes with it, so there is no moment without a wall.
    pub(super) text: String,
    /// How many rules of each table let something through.
    pub(super) accepts: usize,
}

/// Writes the walls for these interfaces.
pub(super) fn render(rules: &Rules, interfaces: &[String]) -> Ruleset {
    let lines = list(rules);
    let v6 = lines.iter().any(|line| line.open && matches!(line.net, IpNet::V6(_)));
    let mut text = String::new();
    for family in ["inet", "netdev"] {
        // A table must be there to be deleted.
        let _ = writeln!(text, "table {family} {TABLE}\ndelete table {family} {TABLE}");
    }
    packets(&mut text, &lines, v6);
    frames(&mut text, &lines, v6, &rules.addresses, interfaces);
    // One more each: the loopback interface there, ARP here. Two for the neighbours of IPv6.
    let accepts = lines.iter().filter(|line| line.open).count() + 1 + if v6 { 2 } else { 0 };
    Ruleset { text, accepts }
}

/// What the kernel's own protocols send. By destination only, for what belongs to a connection that was made from
/// outside goes to the same places, or nowhere. Docker's own resolver stands behind the loopback interface.
fn packets(text: &mut String, lines: &[Destination], v6: bool) {
    const REJECT: &str = "reject with icmpx type admin-prohibited";
    let _ = writeln!(text, "table inet {TABLE} {{\nchain output {{");
    let _ = writeln!(text, "type filter hook output priority 0; policy drop;");
    let _ = writeln!(text, "oif \"lo\" accept");
    // Options can name a way through other machines.
    let _ = writeln!(text, "ip hdrlength != 5 {REJECT}");
    if v6 {
        let _ = writeln!(text, "icmpv6 type nd-neighbor-solicit ip6 hoplimit 255 ip6 daddr ff02::1:ff00:0/104 accept");
        let _ = writeln!(text, "icmpv6 type nd-neighbor-advert ip6 hoplimit 255 ip6 daddr fe80::/10 accept");
    }
    for Destination { net, open } in lines {
        let verdict = if *open { "accept" } else { REJECT };
        let family = if matches!(net, IpNet::V4(_)) { "ip" } else { "ip6" };
        let _ = match net.prefix_len() {
            // "daddr 0.0.0.0/0" is no expression.
            0 => writeln!(text, "meta nfproto {} {verdict}", if family == "ip" { "ipv4" } else { "ipv6" }),
            _ => writeln!(text, "{family} daddr {net} {verdict}"),
        };
    }
    let _ = writeln!(text, "{REJECT}\n}}");
    // What comes in by one interface, the loopback too, is not carried on to another.
    let _ = writeln!(text, "chain forward {{\ntype filter hook forward priority 0; policy drop;\n}}\n}}");
}

/// Frames as they leave. They are judged by their own bytes and nothing else: what the kernel believes of a frame
/// that a program made (its protocol, where its headers begin) is what that program said.
fn frames(text: &mut String, lines: &[Destination], v6: bool, addresses: &[IpAddr], interfaces: &[String]) {
    // The type of the frame, and for IPv4 a header without options.
    const ARP: &str = "@ll,96,16 0x0806";
    const IPV4: &str = "@ll,96,16 0x0800 @ll,112,8 0x45";
    const IPV6: &str = "@ll,96,16 0x86dd";
    let _ = writeln!(text, "table netdev {TABLE} {{\nchain frames {{");
    // Nobody else's address: an answer to it would go where this container may not send, and in ARP it would draw
    // others' traffic here.
    let (mut own_v4, mut own_v6) = (Vec::new(), Vec::new());
    for address in addresses {
        match address {
            IpAddr::V4(address) => own_v4.push(address.to_bits()),
            IpAddr::V6(address) => own_v6.push(address.to_bits()),
        }
    }
    let _ =
        writeln!(text, "{ARP}{} drop\n{IPV4}{} drop", none_of("@ll,224,32", &own_v4), none_of("@ll,208,32", &own_v4));
    // The kernel takes an address of the link for itself, and asks with none whether it is free.
    let link = " @ll,176,128 & 0xffc00000000000000000000000000000 != 0xfe800000000000000000000000000000";
    own_v6.push(0);
    let other = none_of("@ll,176,128", &own_v6);
    let _ = writeln!(text, "{IPV6}{link}{other} drop\n{ARP} accept");
    if v6 {
        let mut neighbour = |kind: u8, net: &str| {
            if let Ok(net) = net.parse() {
                let icmp = format!("{IPV6} @ll,160,8 58 @ll,168,8 255 @ll,432,8 {kind}");
                let _ = writeln!(text, "{icmp}{} accept", destination(&net));
            }
        };
        neighbour(135, "ff02::1:ff00:0/104");
        neighbour(136, "fe80::/10");
    }
    for Destination { net, open } in lines {
        let kind = if matches!(net, IpNet::V4(_)) { IPV4 } else { IPV6 };
        let _ = writeln!(text, "{kind}{} {}", destination(net), if *open { "accept" } else { "drop" });
    }
    let _ = writeln!(text, "}}");
    for (number, interface) in interfaces.iter().enumerate() {
        let _ = writeln!(text, "chain interface{number} {{");
        let _ = writeln!(text, "type filter hook egress device \"{interface}\" priority 0; policy drop;");
        let _ = writeln!(text, "jump frames\n}}");
    }
    let _ = writeln!(text, "}}");
}

/// That what stands at this place is none of these.
fn none_of(place: &str, values: &[impl LowerHex]) -> String {
    values.iter().fold(String::new(), |mut text, value| {
        let _ = write!(text, " {place} != {value:#x}");
        text
    })
}

/// The destination by its place in the frame: an Ethernet header is 14 bytes long, and the destination stands 16
/// bytes into an IPv4 header and 24 into an IPv6 header.
fn destination(net: &IpNet) -> String {
    match net {
        net if net.prefix_len() == 0 => String::new(),
        IpNet::V4(net) => format!(" @ll,240,32 & {:#x} == {:#x}", net.netmask().to_bits(), net.network().to_bits()),
        IpNet::V6(net) => format!(" @ll,304,128 & {:#x} == {:#x}", net.netmask().to_bits(), net.network().to_bits()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_walls_say_the_same() {
        let rules = Rules {
            subnets: vec!["172.18.0.0/16".parse().unwrap()],
            gateways: vec!["172.18.0.1".parse().unwrap()],
            addresses: ["172.18.0.5", "fd12::5"].map(|address| address.parse().unwrap()).into(),
            egress: vec!["0.0.0.0/0".parse().unwrap()],
        };
        let Ruleset { text, accepts } = render(&rules, &["eth0".into(), "eth1".into()]);
        assert_eq!(accepts, 3);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn every_line_that_lets_through_is_counted() {
        let rules = Rules { subnets: vec!["fd12::/64".parse().unwrap()], ..Rules::default() };
        let Ruleset { text, accepts } = render(&rules, &[]);
        assert_eq!(text.matches(" accept\n").count(), 2 * accepts);
    }
}
