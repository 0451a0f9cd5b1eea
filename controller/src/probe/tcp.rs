//! A connection that is opened and closed: whether somebody listens there.

use crds::probe::TcpProbe;

use super::answer::{Answer, Read, Stage};
use super::mistake::{Filling, Mistake};
use super::net::Address;
use super::run::World;

/// Where to connect.
#[derive(Debug)]
pub(super) struct Tcp(Address);

pub(super) fn prepare(probe: &TcpProbe, fill: &Filling) -> Result<Tcp, Mistake> {
    address(&probe.address, fill).map(Tcp)
}

/// The field `address` of a probe.
pub(super) fn address(text: &str, fill: &Filling) -> Result<Address, Mistake> {
    let text = fill.text("address", text)?;
    Address::parse(&text, None).map_err(|message| fill.wrong("address", message))
}

impl Tcp {
    pub(super) async fn read(&self, world: &World, stage: &Stage) -> Read {
        world.dialer.connect(&self.0, stage).await?;
        Ok(Answer::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_address_names_its_place() {
        let said = |text: &str, target| {
            let probe = TcpProbe { address: text.into() };
            prepare(&probe, &Filling::new("probes[0].tcp", target)).unwrap_err().to_string()
        };
        assert_eq!(said("node1", None), "probes[0].tcp.address: the port is missing: HOST:PORT");
        assert_eq!(
            said("{{target}}:80", Some("a b")),
            "probes[0].tcp.address: \"a b\" is no name of a host (with the target \"a b\")"
        );
    }
}
