//! One stream: a controller's requests in, replies and output out.
//!
//! Several may stand at once (an old one that is not yet known to be dead, and its successor), and
//! the end of one ends no command. The hello of a later controller ends those of earlier ones at once:
//! their frames are refused, and they hear no more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use super::frames::{codec, decode, encode, write_all};
use super::process::{Chunk, Running};
use super::protocol::{CommandState, Outcome, Reply, Request, VERSION};
use super::registry::{Found, Registry};

/// The hello must come within this.
const HELLO: Duration = Duration::from_secs(10);

/// Serves one stream to its end.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Send + 'static>(stream: S, registry: Arc<Registry>) {
    let (read, write) = tokio::io::split(stream);
    // Frames wait here, a live chunk no longer than the peer is slow: it is left out at its source.
    let (out, queue) = mpsc::channel::<Bytes>(16);
    let writing = tokio::spawn(write_all(write, queue));
    let mut connection = Connection { registry, out, forwards: JoinSet::new(), epoch: None };
    if let Err(reason) = connection.requests(FramedRead::new(read, codec())).await {
        connection.send(&Reply::Error { reason }).await;
    }
    drop(connection);
    let _ = writing.await;
}

struct Connection {
    registry: Arc<Registry>,
    out: mpsc::Sender<Bytes>,
    /// Ends with the connection.
    forwards: JoinSet<()>,
    /// What its hello said.
    epoch: Option<u64>,
}

impl Connection {
    async fn send(&self, reply: &Reply) {
        send(&self.out, reply).await;
    }

    async fn requests<R: AsyncRead + Unpin>(
        &mut self,
        mut read: FramedRead<R, LengthDelimitedCodec>,
    ) -> Result<(), String> {
        loop {
            let greeted = self.epoch;
            let next =
                async { if greeted.is_some() { Ok(read.next().await) } else { timeout(HELLO, read.next()).await } };
            let registry = self.registry.clone();
            let outdated = async move {
                match greeted {
                    Some(epoch) => over(epoch, registry.outdated(epoch).await),
                    None => std::future::pending().await,
                }
            };
            let frame = tokio::select! {
                biased;
                reason = outdated => return Err(reason),
                next = next => next.map_err(|_| "no hello came")?,
                () = self.out.closed() => return Ok(()),
            };
            let Some(frame) = frame else { return Ok(()) };
            let frame = frame.map_err(|error| error.to_string())?;
            let request = decode(&frame).map_err(|error| error.to_string())?;
            if greeted.is_none() && !matches!(request, Request::Hello { .. }) {
                return Err("the first frame must be a hello".into());
            }
            self.answer(request).await?;
            while self.forwards.try_join_next().is_some() {}
        }
    }

    /// `Err` ends the stream.
    async fn answer(&mut self, request: Request) -> Result<(), String> {
        match request {
            Request::Hello { version, session, epoch } => {
                if version != VERSION {
                    return Err(format!("version {version} of the protocol is not known here, only {VERSION}"));
                }
                if session != self.registry.config.session {
                    return Err(format!("this is session {}, not {session}", self.registry.config.session));
                }
                let epoch = self.admit(epoch)?;
                self.epoch = Some(epoch);
                self.send(&Reply::Hello { version: VERSION, session, epoch, commands: self.registry.known() }).await;
            }
            Request::Start { seq, command, timeout_ms, epoch } => {
                self.admit(epoch)?;
                match self.registry.start(seq, command, Duration::from_millis(timeout_ms)) {
                    Ok(running) => self.follow(seq, running).await,
                    Err((reason, state)) => self.send(&Reply::Refused { seq, reason, state }).await,
                }
            }
            Request::Query { seq } => match self.registry.find(seq) {
                Found::Running(running) => self.follow(seq, running).await,
                Found::Finished(outcome) => self.send(&finished(&outcome)).await,
                Found::Lost => {
                    let reason = format!("command {seq} was started, but its outcome is lost");
                    self.send(&Reply::Refused { seq, reason, state: CommandState::Lost }).await;
                }
                Found::Unknown => {
                    let reason = format!("command {seq} was never started");
                    self.send(&Reply::Refused { seq, reason, state: CommandState::Unknown }).await;
                }
            },
            Request::Kill { seq, epoch } => {
                self.admit(epoch)?;
                let state = self.registry.kill(seq);
                self.send(&Reply::Killing { seq, state }).await;
            }
            Request::Shutdown { epoch } => {
                self.admit(epoch)?;
                self.registry.close().await;
                self.send(&Reply::Bye).await;
                self.registry.shutdown.cancel();
            }
            Request::Ping { nonce } => self.send(&Reply::Pong { nonce }).await,
        }
        Ok(())
    }

    fn admit(&self, epoch: u64) -> Result<u64, String> {
        self.registry.admit(epoch).map_err(|seen| over(epoch, seen))
    }

    /// Sends the command's output as it comes, and its end.
    async fn follow(&mut self, seq: i64, running: Arc<Running>) {
        let live = running.live.subscribe();
        self.send(&Reply::Started { seq }).await;
        self.forwards.spawn(forward(seq, live, running, self.out.clone()));
    }
}

fn over(epoch: u64, seen: u64) -> String {
    format!("epoch {epoch} is over: {seen} was seen")
}

async fn forward(seq: i64, mut live: broadcast::Receiver<Chunk>, running: Arc<Running>, out: mpsc::Sender<Bytes>) {
    let mut ended = running.outcome.subscribe();
    let outcome = loop {
        let end = async { ended.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone()) };
        tokio::select! {
            biased;
            chunk = live.recv() => match chunk {
                Ok(chunk) => send(&out, &output(seq, &chunk)).await,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            outcome = end => break outcome,
        }
    };
    if let Some(outcome) = outcome {
        send(&out, &finished(&outcome)).await;
    }
}

fn output(seq: i64, chunk: &Chunk) -> Reply {
    Reply::Output { seq, stream: chunk.stream, offset: chunk.offset, data: chunk.data.to_vec() }
}

fn finished(outcome: &Arc<Outcome>) -> Reply {
    Reply::Finished(Box::new(Outcome::clone(outcome)))
}

async fn send(out: &mpsc::Sender<Bytes>, reply: &Reply) {
    let frame = match encode(reply) {
        Ok(frame) => frame,
        Err(error) => match encode(&Reply::Error { reason: error.to_string() }) {
            Ok(frame) => frame,
            Err(_) => return,
        },
    };
    let _ = out.send(frame).await;
}
