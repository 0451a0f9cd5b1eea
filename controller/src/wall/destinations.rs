//! Which destinations are open: one list for both walls, read from the top, the first that fits decides.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Rules;

/// Never open, whatever else is said: this machine and this link (the clouds' metadata services among it), many at
/// once, and what is nobody's.
const NEVER_V4: [(Ipv4Addr, u8); 5] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];
/// The same for IPv6, and the forms in which an IPv4 address hides in one.
const NEVER_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::UNSPECIFIED, 96),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];

/// One line of the list. What no line fits is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    pub(super) net: IpNet,
    pub(super) open: bool,
}

/// The list.
pub(super) fn list(rules: &Rules) -> Vec<Destination> {
    let never_v4 = NEVER_V4.iter().filter_map(|(address, length)| Ipv4Net::new(*address, *length).ok());
    let never_v6 = NEVER_V6.iter().filter_map(|(address, length)| Ipv6Net::new(*address, *length).ok());
    let closed = rules.gateways.iter().copied().map(IpNet::from);
    let closed = closed.chain(rules.subnets.iter().flat_map(to_all_of));
    let closed = closed.chain(never_v4.map(IpNet::from)).chain(never_v6.map(IpNet::from));
    let open = rules.subnets.iter().chain(&rules.egress).map(IpNet::trunc);
    closed.map(|net| Destination { net, open: false }).chain(open.map(|net| Destination { net, open: true })).collect()
}

/// The addresses of a network that mean everybody on it, and so the host too.
fn to_all_of(subnet: &IpNet) -> Vec<IpNet> {
    match subnet {
        IpNet::V4(subnet) if subnet.prefix_len() < 31 => {
            vec![IpAddr::from(subnet.network()).into(), IpAddr::from(subnet.broadcast()).into()]
        }
        // The subnet-router anycast address: any router answers, and the host is one.
        IpNet::V6(subnet) if subnet.prefix_len() < 127 => vec![IpAddr::from(subnet.network()).into()],
        IpNet::V4(_) | IpNet::V6(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(egress: &[&str]) -> Rules {
        Rules {
            subnets: ["172.18.0.0/16", "fd12::/64"].map(|net| net.parse().unwrap()).into(),
            gateways: ["172.18.0.1", "fd12::1"].map(|address| address.parse().unwrap()).into(),
            addresses: Vec::new(),
            egress: egress.iter().map(|net| net.parse().unwrap()).collect(),
        }
    }

    fn is_open(rules: &Rules, address: &str) -> bool {
        let address: IpAddr = address.parse().unwrap();
        list(rules).iter().find(|line| line.net.contains(&address)).is_some_and(|line| line.open)
    }

    #[test]
    fn the_subjects_networks_are_open_and_nothing_else() {
        let rules = rules(&[]);
        for address in ["172.18.0.2", "172.18.255.254", "fd12::2"] {
            assert!(is_open(&rules, address), "{address}");
        }
        let closed = "172.18.0.1 172.18.0.0 172.18.255.255 172.19.0.2 172.17.0.1 127.0.0.1 169.254.169.254 10.96.0.1 \
            1.1.1.1 0.0.0.0 224.0.0.251 255.255.255.255 fd12::1 fd12:: fd13::1 fe80::1 ff02::1 ::1 ::ffff:172.18.0.1 \
            2606:4700::1111";
        for address in closed.split_whitespace() {
            assert!(!is_open(&rules, address), "{address}");
        }
    }

    #[test]
    fn egress_opens_what_it_names_and_never_the_gateways() {
        let rules = rules(&["10.0.0.7/8", "0.0.0.0/0", "::/0"]);
        for address in ["10.96.0.1", "1.1.1.1", "2606:4700::1111"] {
            assert!(is_open(&rules, address), "{address}");
        }
        for address in ["172.18.0.1", "fd12::1", "169.254.169.254", "255.255.255.255", "fe80::1", "127.0.0.1"] {
            assert!(!is_open(&rules, address), "{address}");
        }
    }

    proptest! {
        #[test]
        fn an_address_outside_of_all_networks_is_closed(v4: u32, v6: u128) {
            let rules = rules(&["10.0.0.0/8"]);
            for address in [IpAddr::from(Ipv4Addr::from_bits(v4)), Ipv6Addr::from_bits(v6).into()] {
                let inside = rules.subnets.iter().chain(&rules.egress).any(|net| net.contains(&address));
                prop_assert!(inside || !is_open(&rules, &address.to_string()));
            }
        }
    }
}
