//! Names and connections: how a probe reaches something.
//!
//! The system's resolver blocks a thread and cannot be interrupted, and a dead name server keeps it for many seconds. So
//! there are few such threads: who finds none waits inside of its own time limit, and nothing piles up.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::answer::{Stage, plain};

/// Names that are looked up at the same time.
const LOOKUPS: usize = 8;
/// A name's next address is tried when the one before has not answered for this long.
const NEXT_ADDRESS: Duration = Duration::from_millis(250);
/// Addresses of a name that are tried.
const MOST_ADDRESSES: usize = 4;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    /// Reads `HOST:PORT`; an IPv6 address stands in brackets. Without a port it is `default`, if there is one.
    pub(super) fn parse(text: &str, default: Option<u16>) -> Result<Self, String> {
        let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(Some((host, ""))) => (host, None),
            Some(Some((host, rest))) => (host, Some(rest.strip_prefix(':').ok_or("after ']' comes ':PORT'")?)),
            Some(None) => return Err("'[' has no ']'".into()),
            None => match text.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match (port, default) {
            (Some(port), _) => port.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
                let port: String = port.chars().take(20).collect();
                format!("{port:?} is no port: a number between 1 and 65535")
            })?,
            (None, Some(port)) => port,
            (None, None) => return Err("the port is missing: HOST:PORT".into()),
        };
        if host.is_empty() {
            return Err("the host is missing: HOST:PORT".into());
        }
        let strange = |c: char| c.is_whitespace() || c.is_control() || "/@[]?#\\".contains(c);
        if host.contains(strange) || (host.contains(':') && host.parse::<IpAddr>().is_err()) {
            return Err(format!("{host:?} is no name of a host"));
        }
        Ok(Self { host: host.into(), port })
    }
}

/// Opens connections.
pub(super) struct Dialer {
    lookups: Arc<Semaphore>,
}

impl Dialer {
    pub(super) fn new() -> Self {
        Self { lookups: Arc::new(Semaphore::new(LOOKUPS)) }
    }

    /// A new connection. An error is a sentence.
    pub(super) async fn connect(&self, address: &Address, stage: &Stage) -> Result<TcpStream, String> {
        stage.set("looking up the name");
        let addresses = self.addresses(address).await?;
        stage.set("connecting");
        let stream = first(addresses).await.map_err(|error| {
            let Address { host, port } = address;
            format!("{host}:{port}: {error}")
        })?;
        // What a probe says is short, and waits for nothing to be added.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    async fn addresses(&self, address: &Address) -> Result<Vec<SocketAddr>, String> {
        let Address { host, port } = address.clone();
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let slot = self.lookups.clone().acquire_owned().await.map_err(|_| "the observer ends".to_owned())?;
        let looked = tokio::task::spawn_blocking(move || {
            let looked = (host.as_str(), port).to_socket_addrs().map(|all| all.take(MOST_ADDRESSES).collect::<Vec<_>>());
            drop(slot);
            looked
        });
        let host = &address.host;
        match looked.await {
            Ok(Ok(addresses)) if addresses.is_empty() => Err(format!("the name {host} has no address")),
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(error)) => Err(format!("the name {host} has no address: {}", plain(&error))),
            Err(_) => Err(format!("the name {host} could not be looked up")),
        }
    }
}

/// The first connection that stands. The addresses are tried in their order, the next one as soon as one fails or takes
/// long.
async fn first(addresses: Vec<SocketAddr>) -> Result<TcpStream, String> {
    let mut left = addresses.into_iter();
    let mut tries = FuturesUnordered::new();
    let mut last = "no address".to_owned();
    loop {
        let more = left.len() > 0;
        if tries.is_empty() {
            let Some(address) = left.next() else { return Err(last) };
            tries.push(TcpStream::connect(address));
        }
        tokio::select! {
            Some(tried) = tries.next() => match tried {
                Ok(stream) => return Ok(stream),
                Err(error) => last = plain(&error),
            },
            () = sleep(NEXT_ADDRESS), if more => tries.extend(left.next().map(TcpStream::connect)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let read = |text| Address::parse(text, None).map(|Address { host, port }| (host, port));
        assert_eq!(read("node1:6379"), Ok(("node1".into(), 6379)));
        assert_eq!(read("[::1]:80"), Ok(("::1".into(), 80)));
        assert_eq!(read("10.0.0.1:65535"), Ok(("10.0.0.1".into(), 65535)));
        assert_eq!(Address::parse("node1", Some(80)).map(|address| address.port), Ok(80));
        assert_eq!(Address::parse("[fe80::1]", Some(80)).map(|address| address.host), Ok("fe80::1".into()));
    }

    #[test]
    fn what_is_no_address_is_said() {
        let said = |text| Address::parse(text, None).unwrap_err();
        assert_eq!(said("node1"), "the port is missing: HOST:PORT");
        assert_eq!(said(":80"), "the host is missing: HOST:PORT");
        assert_eq!(said("node1:http"), "\"http\" is no port: a number between 1 and 65535");
        assert!(said("node1:0").contains("is no port"));
        assert!(said("node1:65536").contains("is no port"));
        assert!(said("a b:80").contains("is no name of a host"));
        assert!(said("a:b:80").contains("is no name of a host"));
        assert!(said("[::1:80").contains("has no ']'"));
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_refuses() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let closed = {
            let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            gone.local_addr().unwrap()
        };
        let stream = first(vec![closed, good]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        assert_eq!(first(vec![closed]).await.unwrap_err(), "connection refused");
    }

    #[tokio::test]
    async fn a_name_that_nobody_has_is_said() {
        let address = Address { host: "nobody.invalid".into(), port: 80 };
        let said = Dialer::new().connect(&address, &Stage::new()).await.unwrap_err();
        assert!(said.starts_with("the name nobody.invalid has no address"), "{said}");
        assert!(!said.contains("os error"), "{said}");
    }
}
