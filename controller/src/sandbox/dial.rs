//! How a supervisor is reached: the part of a sandbox that differs from engine to engine.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::printable::one_line;

/// Opens streams to one supervisor, and looks after the container that it is in.
#[async_trait]
pub trait Dial: Send + Sync + 'static {
    /// A new stream. Bounded in time.
    async fn dial(&self) -> Result<Pipe, String>;

    /// What has become of the container. Bounded in time.
    async fn look(&self) -> Condition;

    /// Makes another one in the place of a container that is gone, where that can be done without anybody noticing.
    /// Bounded in time.
    async fn renew(&self) -> Result<(), String> {
        Err("it is not made anew".to_owned())
    }
}

/// What has become of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It runs.
    Running,
    /// It is paused: nothing in it can answer, and nothing is wrong.
    Paused,
    /// It is gone or dead, with what is known of its end.
    Gone(String),
    /// The engine does not say.
    Unknown(String),
}

/// A stream to a supervisor.
pub struct Pipe {
    /// From it.
    pub read: Box<dyn AsyncRead + Send + Unpin>,
    /// To it.
    pub write: Box<dyn AsyncWrite + Send + Unpin>,
    /// What the bridge said beside the stream, such as that there is no supervisor.
    pub aside: Aside,
}

/// The first few kilobytes of something that may go on for ever.
#[derive(Clone, Default)]
pub struct Aside(Arc<Mutex<Vec<u8>>>);

impl Aside {
    const LIMIT: usize = 4 << 10;

    /// Adds as much as there is room for.
    pub fn add(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = Self::LIMIT - kept.len().min(Self::LIMIT);
        kept.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }

    /// What was said, on one printable line; empty if nothing was.
    #[must_use]
    pub fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept);
        one_line(&text)
    }
}

/// A supervisor on this machine, for tests and measurements.
pub struct UnixDial(
    /// Its socket.
    pub PathBuf,
);

#[async_trait]
impl Dial for UnixDial {
    async fn dial(&self) -> Result<Pipe, String> {
        let stream = tokio::net::UnixStream::connect(&self.0).await.map_err(|error| error.to_string())?;
        let (read, write) = stream.into_split();
        Ok(Pipe { read: Box::new(read), write: Box::new(write), aside: Aside::default() })
    }

    async fn look(&self) -> Condition {
        if self.0.exists() { Condition::Running } else { Condition::Gone("its socket is gone".into()) }
    }
}
