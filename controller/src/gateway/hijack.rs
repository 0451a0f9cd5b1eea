//! A connection that both sides took over: bytes in both directions until the engine's side ends.
//!
//! Each direction ends for itself, so a command whose input ended goes on writing. A client that goes away
//! does not end a command that was allowed: it is followed to its end, and its output goes nowhere.

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::meter::Meter;

/// What is read at once.
const CHUNK: usize = 32 << 10;

/// The client's side.
pub(super) enum Client {
    /// It takes the connection over.
    Connection(OnUpgrade),
    /// It reads an answer's body and can write nothing.
    Reader(mpsc::Sender<Bytes>),
}

/// Why the copying ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The engine's side is at its end.
    Engine,
    /// The client is gone, and nothing happens that would have to be followed.
    Client,
    /// The session ends.
    Session,
}

/// How it is done.
pub(super) struct Bridge<'a> {
    /// Whether it goes on when the client is gone.
    pub(super) follow: bool,
    /// Whether what the client writes goes in.
    pub(super) input: bool,
    /// Measures what goes in.
    pub(super) meter: &'a mut Meter,
    /// The session ends.
    pub(super) closing: &'a CancellationToken,
}

impl Bridge<'_> {
    /// Copies until the end.
    pub(super) async fn run<E: AsyncRead + AsyncWrite + Unpin>(self, engine: E, client: Client) -> Ended {
        let Self { follow, input, meter, closing } = self;
        let (from_engine, mut to_engine) = tokio::io::split(engine);
        let copying = async {
            match client {
                Client::Reader(out) => {
                    let _ = to_engine.shutdown().await;
                    down(from_engine, Output::<tokio::io::Sink>::Channel(out), follow).await
                }
                Client::Connection(upgrade) => {
                    let Ok(upgraded) = upgrade.await else {
                        let _ = to_engine.shutdown().await;
                        return down(from_engine, Output::<tokio::io::Sink>::Nowhere, follow).await;
                    };
                    let (from_client, to_client) = tokio::io::split(TokioIo::new(upgraded));
                    let up = async {
                        up(from_client, &mut to_engine, input, meter).await;
                        std::future::pending::<Ended>().await
                    };
                    tokio::select! {
                        ended = up => ended,
                        ended = down(from_engine, Output::Stream(to_client), follow) => ended,
                    }
                }
            }
        };
        tokio::select! {
            ended = copying => ended,
            () = closing.cancelled() => Ended::Session,
        }
    }
}

/// The client's bytes to the engine, and then the end of them.
async fn up(mut from: impl AsyncRead + Unpin, to: &mut (impl AsyncWrite + Unpin), input: bool, meter: &mut Meter) {
    let mut buffer = vec![0; CHUNK];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(length) if input => {
                meter.add(&buffer[..length]);
                if to.write_all(&buffer[..length]).await.is_err() {
                    return;
                }
                let _ = to.flush().await;
            }
            Ok(_) => {}
        }
    }
    let _ = to.shutdown().await;
}

enum Output<W> {
    Stream(W),
    Channel(mpsc::Sender<Bytes>),
    Nowhere,
}

impl<W: AsyncWrite + Unpin> Output<W> {
    /// Whether somebody took it.
    async fn write(&mut self, bytes: &[u8]) -> bool {
        match self {
            Self::Stream(to) => to.write_all(bytes).await.is_ok() && to.flush().await.is_ok(),
            Self::Channel(to) => to.send(Bytes::copy_from_slice(bytes)).await.is_ok(),
            Self::Nowhere => false,
        }
    }
}

async fn down<W: AsyncWrite + Unpin>(mut from: impl AsyncRead + Unpin, mut to: Output<W>, follow: bool) -> Ended {
    let mut buffer = vec![0; CHUNK];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(length) => {
                if !to.write(&buffer[..length]).await {
                    if !follow {
                        return Ended::Client;
                    }
                    to = Output::Nowhere;
                }
            }
        }
    }
    if let Output::Stream(to) = &mut to {
        let _ = to.shutdown().await;
    }
    Ended::Engine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_the_input_reaches_the_engine_and_output_still_comes() {
        let (engine, mut far) = tokio::io::duplex(1024);
        let mut meter = Meter::default();
        let (from, mut to) = tokio::io::split(engine);
        up(&b"input"[..], &mut to, true, &mut meter).await;
        let mut seen = String::new();
        far.read_to_string(&mut seen).await.unwrap();
        assert_eq!(seen, "input");
        assert_eq!(meter.record().unwrap().bytes, 5);
        far.write_all(b"output").await.unwrap();
        drop(far);
        let (out, mut received) = mpsc::channel(4);
        assert_eq!(down::<tokio::io::Sink>(from, Output::Channel(out), true).await, Ended::Engine);
        assert_eq!(received.recv().await.unwrap(), "output");
    }

    #[tokio::test]
    async fn without_a_client_a_change_is_followed_and_a_look_is_not() {
        for (follow, ended) in [(true, Ended::Engine), (false, Ended::Client)] {
            let (out, received) = mpsc::channel(1);
            drop(received);
            assert_eq!(down::<tokio::io::Sink>(&b"output"[..], Output::Channel(out), follow).await, ended);
        }
    }

    #[tokio::test]
    async fn the_end_of_the_session_ends_a_stream() {
        let (engine, _far) = tokio::io::duplex(1024);
        let (closing, mut meter) = (CancellationToken::new(), Meter::default());
        let (out, _received) = mpsc::channel(1);
        closing.cancel();
        let bridge = Bridge { follow: true, input: true, meter: &mut meter, closing: &closing };
        assert_eq!(bridge.run(engine, Client::Reader(out)).await, Ended::Session);
    }
}
