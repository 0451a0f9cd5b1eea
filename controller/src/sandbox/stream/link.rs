//! One connection: frames in and out, from the hello on.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use super::Identity;
use crate::sandbox::dial::{Aside, Pipe};
use crate::supervisor::frames::{codec, decode, encode, write_all};
use crate::supervisor::protocol::{Reply, Request, VERSION};

/// Why a connection cannot go on.
#[derive(Debug)]
pub(super) enum Fault {
    /// It broke; another one may do better.
    Broken(String),
    /// What is at the other end is not what it should be.
    Hostile(String),
}

/// A connection on which the hellos were said.
pub(super) struct Link {
    read: FramedRead<Box<dyn AsyncRead + Send + Unpin>, LengthDelimitedCodec>,
    out: mpsc::Sender<Bytes>,
    aside: Aside,
}

impl Link {
    pub(super) async fn open(pipe: Pipe, identity: &Identity, limit: Duration) -> Result<Self, Fault> {
        let (out, queue) = mpsc::channel(64);
        tokio::spawn(write_all(pipe.write, queue));
        let mut link = Self { read: FramedRead::new(pipe.read, codec()), out, aside: pipe.aside };
        let Identity { session, epoch } = identity.clone();
        link.send(&Request::Hello { version: VERSION, session, epoch }).await?;
        let hello =
            timeout(limit, link.next()).await.map_err(|_| Fault::Broken("the supervisor said no hello".into()))??;
        match hello {
            Reply::Hello { version: VERSION, session, .. } if session == identity.session => Ok(link),
            Reply::Hello { version, session, .. } => Err(Fault::Hostile(format!(
                "the supervisor speaks version {version} for session {session}; wanted are version {VERSION} and {}",
                identity.session
            ))),
            Reply::Error { reason } => Err(Fault::Hostile(format!("the supervisor refused the stream: {reason}"))),
            _ => Err(Fault::Hostile("the supervisor's first frame was no hello".into())),
        }
    }

    pub(super) async fn send(&mut self, request: &Request) -> Result<(), Fault> {
        let frame = encode(request).map_err(|error| Fault::Broken(error.to_string()))?;
        // The queue only fills when the container reads nothing.
        match timeout(Duration::from_secs(30), self.out.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Fault::Broken(self.explain("the stream takes no more frames"))),
        }
    }

    /// The next reply. Can be cancelled without loss.
    pub(super) async fn next(&mut self) -> Result<Reply, Fault> {
        match self.read.next().await {
            None => Err(Fault::Broken(self.explain("the stream ended"))),
            // The codec's own complaint; all others are the connection's.
            Some(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                Err(Fault::Hostile(format!("the supervisor sent a frame that is too long ({error})")))
            }
            Some(Err(error)) => Err(Fault::Broken(self.explain(&format!("the stream broke: {error}")))),
            Some(Ok(frame)) => {
                decode(&frame).map_err(|error| Fault::Hostile(format!("the supervisor sent garbage: {error}")))
            }
        }
    }

    fn explain(&self, what: &str) -> String {
        let aside = self.aside.text();
        if aside.is_empty() { what.to_owned() } else { format!("{what}: {aside}") }
    }
}
