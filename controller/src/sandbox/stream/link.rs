//! One connection: frames in and out, from the hello on.

use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use super::Identity;
use crate::sandbox::dial::{Aside, Pipe};
use crate::supervisor::frames::{codec, decode, encode, write_all};
use crate::supervisor::protocol::{Reply, Request, VERSION};

/// Who is at the other end: what is said, and how it says hello.
pub(in crate::sandbox) trait Peer {
    /// What it is called in a sentence.
    const NAME: &'static str;
    /// The version of the protocol that is spoken with it.
    const VERSION: u32;
    /// To it.
    type Request: Serialize + Send + Sync;
    /// From it.
    type Reply: DeserializeOwned + Send;

    /// The first frame.
    fn hello(identity: &Identity) -> Self::Request;

    /// What its first frame says.
    fn first(reply: &Self::Reply) -> First<'_>;
}

/// What a first frame says.
pub(in crate::sandbox) enum First<'a> {
    /// Hello, in this version, of this session.
    Hello(u32, &'a str),
    /// The stream is refused, for this reason.
    Refused(&'a str),
    /// Something that no stream begins with.
    Other,
}

/// `operator supervise` in the agent's container.
pub(super) struct Supervisor;

impl Peer for Supervisor {
    const NAME: &'static str = "the supervisor";
    const VERSION: u32 = VERSION;
    type Request = Request;
    type Reply = Reply;

    fn hello(identity: &Identity) -> Request {
        let Identity { session, epoch } = identity.clone();
        Request::Hello { version: VERSION, session, epoch }
    }

    fn first(reply: &Reply) -> First<'_> {
        match reply {
            Reply::Hello { version, session, .. } => First::Hello(*version, session),
            Reply::Error { reason } => First::Refused(reason),
            _ => First::Other,
        }
    }
}

/// Whether a first frame is the right answer to our hello.
fn greeted<P: Peer>(reply: &P::Reply, identity: &Identity) -> Result<(), String> {
    match P::first(reply) {
        First::Hello(version, session) if version == P::VERSION && session == identity.session => Ok(()),
        First::Hello(version, session) => Err(format!(
            "{} speaks version {version} for session {session}; wanted are version {} and {}",
            P::NAME,
            P::VERSION,
            identity.session
        )),
        First::Refused(reason) => Err(format!("{} refused the stream: {reason}", P::NAME)),
        First::Other => Err(format!("{}'s first frame was no hello", P::NAME)),
    }
}

/// Why a connection cannot go on.
#[derive(Debug)]
pub(in crate::sandbox) enum Fault {
    /// It broke; another one may do better.
    Broken(String),
    /// What is at the other end is not what it should be.
    Hostile(String),
}

/// A connection on which the hellos were said.
pub(in crate::sandbox) struct Link<P> {
    peer: PhantomData<fn(P)>,
    read: FramedRead<Box<dyn AsyncRead + Send + Unpin>, LengthDelimitedCodec>,
    out: mpsc::Sender<Bytes>,
    aside: Aside,
}

impl<P: Peer> Link<P> {
    /// Says hello and waits for the answer, which is given back as well.
    pub(in crate::sandbox) async fn open(
        pipe: Pipe,
        identity: &Identity,
        limit: Duration,
    ) -> Result<(Self, P::Reply), Fault> {
        let (out, queue) = mpsc::channel(64);
        tokio::spawn(write_all(pipe.write, queue));
        let read = FramedRead::new(pipe.read, codec());
        let mut link = Self { peer: PhantomData, read, out, aside: pipe.aside };
        link.send(&P::hello(identity)).await?;
        let hello = timeout(limit, link.next()).await;
        let hello = hello.map_err(|_| Fault::Broken(format!("{} said no hello", P::NAME)))??;
        greeted::<P>(&hello, identity).map_err(Fault::Hostile)?;
        Ok((link, hello))
    }

    pub(in crate::sandbox) async fn send(&mut self, request: &P::Request) -> Result<(), Fault> {
        let frame = encode(request).map_err(|error| Fault::Broken(error.to_string()))?;
        // The queue only fills when the container reads nothing.
        match timeout(Duration::from_secs(30), self.out.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Fault::Broken(self.explain("the stream takes no more frames"))),
        }
    }

    /// The next reply. Can be cancelled without loss.
    pub(in crate::sandbox) async fn next(&mut self) -> Result<P::Reply, Fault> {
        match self.read.next().await {
            None => Err(Fault::Broken(self.explain("the stream ended"))),
            // The codec's own complaint; all others are the connection's.
            Some(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                Err(Fault::Hostile(format!("{} sent a frame that is too long ({error})", P::NAME)))
            }
            Some(Err(error)) => Err(Fault::Broken(self.explain(&format!("the stream broke: {error}")))),
            Some(Ok(frame)) => {
                decode(&frame).map_err(|error| Fault::Hostile(format!("{} sent garbage: {error}", P::NAME)))
            }
        }
    }

    fn explain(&self, what: &str) -> String {
        let aside = self.aside.text();
        if aside.is_empty() { what.to_owned() } else { format!("{what}: {aside}") }
    }
}
