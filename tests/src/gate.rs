//! A door between a controller and one thing that it depends on: the database, the engine, the model, the API
//! server.
//!
//! The test can close it (all connections are cut, new ones find nobody), and it can have it hold one message: the
//! bytes stop there, the test does its worst to the controller, and then lets them go or throws them away. What a
//! message is, an [`Inspect`] knows: see `postgres` and `scan`.

pub mod postgres;
pub mod scan;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// Where a gate leads.
#[derive(Clone, Debug)]
pub enum To {
    /// `host:port`.
    Tcp(String),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// What an inspection of the next bytes in one direction says.
pub struct Look {
    /// So many of them go on.
    pub pass: usize,
    /// Then nothing does until this is let go.
    pub hold: Option<Arc<Hold>>,
}

impl Look {
    /// So many bytes go on.
    #[must_use]
    pub fn pass(pass: usize) -> Self {
        Self { pass, hold: None }
    }
}

/// Watches one direction of one connection.
pub trait Inspect: Send {
    /// Looks at all bytes that did not go on yet. Passing none of them and holding none waits for more.
    fn look(&mut self, bytes: &[u8]) -> Look;
}

/// Both directions of a connection: from the controller, and to it.
pub type Inspectors = (Box<dyn Inspect>, Box<dyn Inspect>);

/// One message that is held, or will be.
pub struct Hold {
    what: String,
    state: watch::Sender<Held>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Armed,
    Caught,
    LetGo,
    Discarded,
}

impl Hold {
    /// One that waits for its message.
    #[must_use]
    pub fn armed(what: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { what: what.into(), state: watch::Sender::new(Held::Armed) })
    }

    /// Waits until the message is there.
    ///
    /// # Errors
    /// A sentence, when it does not come in time.
    pub async fn caught(&self, limit: Duration) -> Result<(), String> {
        let mut state = self.state.subscribe();
        let caught = tokio::time::timeout(limit, state.wait_for(|state| *state != Held::Armed)).await;
        caught.map(drop).map_err(|_| format!("{} did not come within {limit:?}", self.what))
    }

    /// Lets it go its way.
    pub fn let_go(&self) {
        self.state.send_replace(Held::LetGo);
    }

    /// Throws it away, and its connection with it.
    pub fn discard(&self) {
        self.state.send_replace(Held::Discarded);
    }

    /// Holds; whether the bytes go on after that.
    async fn hold(&self) -> bool {
        self.state.send_if_modified(|state| {
            let first = *state == Held::Armed;
            if first {
                *state = Held::Caught;
            }
            first
        });
        let mut state = self.state.subscribe();
        let ended = state.wait_for(|state| matches!(state, Held::LetGo | Held::Discarded)).await;
        ended.is_ok_and(|state| *state == Held::LetGo)
    }
}

/// A gate; it goes when it is dropped, with all that went through it.
pub struct Gate {
    address: String,
    open: watch::Sender<bool>,
    task: AbortHandle,
}

impl Gate {
    /// A gate on a port of the loopback.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn tcp(to: To, inspectors: impl Fn() -> Inspectors + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback");
        let address = listener.local_addr().expect("its address").to_string();
        Self::start(address, Listener::Tcp(listener), to, inspectors)
    }

    /// A gate in the file system.
    ///
    /// # Panics
    /// When the socket cannot be made.
    #[must_use]
    pub fn unix(path: &Path, to: To, inspectors: impl Fn() -> Inspectors + Send + 'static) -> Self {
        let listener = UnixListener::bind(path).expect("a socket");
        Self::start(path.display().to_string(), Listener::Unix(listener), to, inspectors)
    }

    fn start(
        address: String,
        listener: Listener,
        to: To,
        inspectors: impl Fn() -> Inspectors + Send + 'static,
    ) -> Self {
        let open = watch::Sender::new(true);
        let mut seen = open.subscribe();
        let accept = async move {
            let mut connections = JoinSet::new();
            loop {
                while connections.try_join_next().is_some() {}
                let Ok(near) = listener.accept().await else { continue };
                // Closed: whoever comes is shown out.
                if !*seen.borrow_and_update() {
                    continue;
                }
                let (to, inspectors, mut closed) = (to.clone(), inspectors(), seen.clone());
                connections.spawn(async move {
                    tokio::select! {
                        _ = connect(near, &to, inspectors) => {}
                        _ = closed.wait_for(|open| !open) => {}
                    }
                });
            }
        };
        let task = tokio::spawn(accept).abort_handle();
        Self { address, open, task }
    }

    /// `host:port`, or the socket's path.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Cuts every connection, and lets nobody in from now on.
    pub fn close(&self) {
        self.open.send_replace(false);
    }

    /// Lets everybody in again.
    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

fn halves(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> (Reader, Writer) {
    let (read, write) = tokio::io::split(stream);
    (Box::new(read), Box::new(write))
}

impl Listener {
    async fn accept(&self) -> io::Result<(Reader, Writer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(halves(stream))
            }
            Self::Unix(listener) => Ok(halves(listener.accept().await?.0)),
        }
    }
}

async fn connect(near: (Reader, Writer), to: &To, (out, back): Inspectors) -> io::Result<()> {
    let far = match to {
        To::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            halves(stream)
        }
        To::Unix(path) => halves(UnixStream::connect(path).await?),
    };
    tokio::try_join!(pump(near.0, far.1, out), pump(far.0, near.1, back)).map(drop)
}

/// Carries one direction; an error ends both.
async fn pump(mut from: Reader, mut to: Writer, mut inspect: Box<dyn Inspect>) -> io::Result<()> {
    let mut waiting = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        while !waiting.is_empty() {
            let look = inspect.look(&waiting);
            to.write_all(&waiting[..look.pass]).await?;
            to.flush().await?;
            waiting.drain(..look.pass);
            match look.hold {
                Some(hold) if !hold.hold().await => return Err(io::Error::other("thrown away")),
                None if look.pass == 0 => break,
                Some(_) | None => {}
            }
        }
        let read = from.read(&mut chunk).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        waiting.extend_from_slice(&chunk[..read]);
    }
}
