//! The controller's stream: it says which changes are on record, and is told what came of them.
//!
//! One stream stands at a time: the hello of a newer one, with a fencing token that is not lower, ends the
//! one before.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};
use tokio_util::sync::CancellationToken;

use super::changes::Sent;
use super::ledger::Ledger;
use super::protocol::{FromController, FromGateway, TOOK_OVER, VERSION};
use crate::supervisor::frames::{codec, decode, encode, write_all};

/// The hello must come within this.
const HELLO: Duration = Duration::from_secs(10);

/// Streams that stand at once: the one in use, its successor, and some that do not say hello.
const STREAMS: usize = 8;

/// Serves the controller, one stream at a time, for ever.
pub async fn serve(listener: UnixListener, session: String, ledger: Arc<Ledger>, close: Duration) {
    let boot = rand::random();
    let places = Arc::new(tokio::sync::Semaphore::new(STREAMS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let serving = Stream { session: session.clone(), boot, ledger: ledger.clone(), close };
                tokio::spawn(async move {
                    serving.serve(stream).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a control stream could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

struct Stream {
    session: String,
    boot: u64,
    ledger: Arc<Ledger>,
    close: Duration,
}

impl Stream {
    async fn serve<S: AsyncRead + AsyncWrite + Send + 'static>(self, stream: S) {
        let (read, write) = tokio::io::split(stream);
        let (out, queue) = mpsc::channel::<Bytes>(4);
        let writing = tokio::spawn(write_all(write, queue));
        let mut read = FramedRead::new(read, codec());
        if let Err(reason) = self.talk(&mut read, &out).await {
            tracing::info!(reason, "a control stream ends");
            send(&out, &FromGateway::Error { reason }).await;
        }
        drop(out);
        let _ = writing.await;
    }

    /// `Err` says why the stream cannot go on.
    async fn talk<R: AsyncRead + Unpin>(
        &self,
        read: &mut FramedRead<R, LengthDelimitedCodec>,
        out: &mpsc::Sender<Bytes>,
    ) -> Result<(), String> {
        let frame = timeout(HELLO, read.next()).await.map_err(|_| "no hello came")?;
        let Some(frame) = frame else { return Ok(()) };
        let replaced = self.greet(&frame.map_err(|error| error.to_string())?, out).await?;
        let mut sent = Sent::default();
        let mut closed: Option<futures::future::BoxFuture<'_, ()>> = None;
        loop {
            tokio::select! {
                biased;
                () = replaced.cancelled() => return Err(TOOK_OVER.into()),
                () = out.closed() => return Ok(()),
                frame = read.next() => {
                    let Some(frame) = frame else { return Ok(()) };
                    let frame: FromController =
                        decode(&frame.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
                    if self.follow(frame, out).await? && closed.is_none() {
                        let (ledger, close) = (self.ledger.clone(), self.close);
                        closed = Some(Box::pin(async move { let _ = timeout(close, ledger.idle()).await; }));
                    }
                }
                () = async { match &mut closed { Some(closed) => closed.await, None => std::future::pending().await } } => {
                    closed = None;
                    while let Some(frame) = self.ledger.waiting_frame(&mut sent) {
                        let _ = out.send(frame).await;
                    }
                    send(out, &FromGateway::Closed).await;
                }
                () = self.say_next(&mut sent, out) => {}
            }
        }
    }

    /// Sends the next frame once there is room for it: what is not sent is not counted as sent.
    async fn say_next(&self, sent: &mut Sent, out: &mpsc::Sender<Bytes>) {
        if let Ok(room) = out.reserve().await {
            room.send(self.ledger.next_frame(sent).await);
        }
    }

    async fn greet(&self, frame: &[u8], out: &mpsc::Sender<Bytes>) -> Result<CancellationToken, String> {
        let hello = decode(frame).map_err(|error| error.to_string())?;
        let FromController::Hello { version, session, epoch } = hello else {
            return Err("the first frame must be a hello".into());
        };
        if version != VERSION {
            return Err(format!("version {version} of the protocol is not known here, only {VERSION}"));
        }
        if session != self.session {
            return Err(format!("this is session {}, not {session}", self.session));
        }
        let epoch = self.ledger.admit(epoch)?;
        let replaced = self.ledger.take_over();
        send(out, &FromGateway::Hello { version: VERSION, session, epoch, boot: self.boot }).await;
        Ok(replaced)
    }

    /// Whether it was the order to close.
    async fn follow(&self, frame: FromController, out: &mpsc::Sender<Bytes>) -> Result<bool, String> {
        match frame {
            FromController::Hello { .. } => return Err("a second hello".into()),
            FromController::Committed { id, epoch } => {
                self.ledger.admit(epoch)?;
                self.ledger.committed(id);
            }
            FromController::Refused { id, reason, epoch } => {
                self.ledger.admit(epoch)?;
                self.ledger.refused(id, reason);
            }
            FromController::Noted { id } => self.ledger.noted(id),
            FromController::Close { epoch } => {
                self.ledger.admit(epoch)?;
                self.ledger.close();
                return Ok(true);
            }
            FromController::Ping { nonce } => send(out, &FromGateway::Pong { nonce }).await,
        }
        Ok(false)
    }
}

async fn send(out: &mpsc::Sender<Bytes>, frame: &FromGateway) {
    if let Ok(frame) = encode(frame) {
        let _ = out.send(frame).await;
    }
}
