//! The bodies of network calls, and the endpoints that new containers have in common with them.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use bollard::models::{EndpointIpamConfig, EndpointSettings};

use super::fields::Fields;
use super::{Reference, target};
use crate::gateway::refusal::Refusal;

const MOST_ALIASES: usize = 64;
const ENGINE_SAYS: &str = "the engine says what it is: leave it out";

/// What an endpoint must not say, with what to do instead.
const NEVER: &[(&str, &str)] = &[
    ("Links", "containers find one another by name within a network: leave out --link"),
    ("MacAddress", ENGINE_SAYS),
    ("DriverOpts", "leave out --driver-opt"),
    ("GwPriority", "leave out --gw-priority"),
    ("NetworkID", ENGINE_SAYS),
    ("EndpointID", ENGINE_SAYS),
    ("Gateway", ENGINE_SAYS),
    ("IPAddress", "ask for an address with --ip"),
    ("IPPrefixLen", ENGINE_SAYS),
    ("IPv6Gateway", ENGINE_SAYS),
    ("GlobalIPv6Address", "ask for an address with --ip6"),
    ("GlobalIPv6PrefixLen", ENGINE_SAYS),
    ("DNSNames", "ask for names with --alias"),
];

/// The body of `POST /networks/{id}/connect`.
pub(super) fn connect(json: &[u8]) -> Result<(Reference, EndpointSettings), Refusal> {
    let mut body = Fields::of_body(json)?;
    let container = container(&mut body)?;
    let endpoint = endpoint(body.object("EndpointConfig")?)?;
    body.done()?;
    Ok((container, endpoint))
}

/// The body of `POST /networks/{id}/disconnect`.
pub(super) fn disconnect(json: &[u8]) -> Result<(Reference, bool), Refusal> {
    let mut body = Fields::of_body(json)?;
    let container = container(&mut body)?;
    let force = body.flag("Force")?.unwrap_or(false);
    body.done()?;
    Ok((container, force))
}

/// A container's end of a network: its names and addresses there.
pub(super) fn endpoint(mut body: Fields) -> Result<EndpointSettings, Refusal> {
    body.nothing_of(NEVER)?;
    let aliases = body.texts("Aliases")?.unwrap_or_default();
    if aliases.len() > MOST_ALIASES {
        return Err(Refusal::bad(format!("{} has more than {MOST_ALIASES} names", body.name("Aliases"))));
    }
    for alias in &aliases {
        target::reference(alias)?;
    }
    let mut ipam = body.object("IPAMConfig")?;
    ipam.nothing("LinkLocalIPs", "link-local addresses are out of reach: leave out --link-local-ip")?;
    let ipv4_address = address::<Ipv4Addr>(&mut ipam, "IPv4Address")?;
    let ipv6_address = address::<Ipv6Addr>(&mut ipam, "IPv6Address")?;
    ipam.done()?;
    body.done()?;
    let any = ipv4_address.is_some() || ipv6_address.is_some();
    Ok(EndpointSettings {
        aliases: (!aliases.is_empty()).then_some(aliases),
        ipam_config: any.then_some(EndpointIpamConfig { ipv4_address, ipv6_address, link_local_ips: None }),
        ..EndpointSettings::default()
    })
}

fn container(body: &mut Fields) -> Result<Reference, Refusal> {
    let name =
        body.text("Container")?.ok_or_else(|| Refusal::bad("Container is missing: name one of the subject's"))?;
    target::reference(&name)
}

fn address<A: FromStr + ToString>(ipam: &mut Fields, name: &str) -> Result<Option<String>, Refusal> {
    let Some(text) = ipam.text(name)? else { return Ok(None) };
    let address: A = text.parse().map_err(|_| Refusal::bad(format!("{} must be an address", ipam.name(name))))?;
    Ok(Some(address.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_connected_with_names_and_addresses() {
        let body =
            br#"{"Container":"redis","EndpointConfig":{"IPAMConfig":{"IPv4Address":"10.0.0.9"},"Aliases":["cache"]}}"#;
        let (container, endpoint) = connect(body).unwrap();
        assert_eq!(container, Reference("redis".into()));
        assert_eq!(endpoint.aliases, Some(vec!["cache".into()]));
        assert_eq!(endpoint.ipam_config.unwrap().ipv4_address.as_deref(), Some("10.0.0.9"));
    }

    #[test]
    fn an_endpoint_says_nothing_else() {
        for endpoint in [
            r#"{"Links":["other:o"]}"#,
            r#"{"DriverOpts":{"a":"b"}}"#,
            r#"{"MacAddress":"02:00:00:00:00:01"}"#,
            r#"{"IPAMConfig":{"LinkLocalIPs":["169.254.1.1"]}}"#,
            r#"{"IPAMConfig":{"IPv4Address":"10.0.0"}}"#,
            r#"{"X":1}"#,
            r#"{"Aliases":["a b"]}"#,
            r#"{"aliases":["a"]}"#,
            r#"{"GwPriority":1}"#,
        ] {
            assert!(
                connect(format!(r#"{{"Container":"redis","EndpointConfig":{endpoint}}}"#).as_bytes()).is_err(),
                "{endpoint}"
            );
        }
        assert!(connect(b"{}").is_err());
        assert!(disconnect(br#"{"Container":"../redis"}"#).is_err());
        assert_eq!(disconnect(br#"{"Container":"redis"}"#), Ok((Reference("redis".into()), false)));
    }
}
