//! The gateway as a process: its two sockets, and its end.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::control::{self, listen};
use super::engine::Engine;
use super::forward::{Gateway, Place};
use super::limits::Limits;
use super::policy::Policy;

/// The most that is read ahead of a request.
const READ_AHEAD: usize = 64 << 10;

/// How a gateway is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The session that it serves; a hello for another one is refused.
    pub session: String,
    /// The epoch of the controller that made it: from the first moment nobody with a lower one is heard.
    pub epoch: u64,
    /// What the session may do.
    pub policy: Policy,
    /// Where the agent connects: open to everybody who can reach it.
    pub socket: PathBuf,
    /// Where the controller connects: root's alone.
    pub control: PathBuf,
    /// The engine's socket.
    pub engine: PathBuf,
    /// After this long the gateway ends by itself.
    pub wall_limit: Duration,
    /// Its bounds.
    pub limits: Limits,
}

/// Why a gateway cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A socket cannot be made.
    #[error("the socket {} cannot be made", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The signals cannot be listened to.
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
}

/// Serves until SIGTERM, SIGINT or the wall limit.
pub async fn serve(config: Config) -> Result<(), GatewayError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(GatewayError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(GatewayError::Signals)?;
    let wall = tokio::time::sleep(config.wall_limit);
    let bound =
        |path: &PathBuf, mode| listen(path, mode).map_err(|source| GatewayError::Socket { path: path.clone(), source });
    let control = bound(&config.control, 0o600)?;
    let agent = bound(&config.socket, 0o666)?;
    let engine = Engine::new(config.engine.clone(), &config.limits);
    let gateway = Gateway::new(config.policy.clone(), config.limits.clone(), engine);
    tracing::info!(session = config.session, socket = %config.socket.display(), "gateway serves");

    // What the project has is remembered from the start, so that what goes can be made again.
    let looking = gateway.clone();
    tokio::spawn(async move {
        if let Err(error) = looking.inventory.look_around().await {
            tracing::warn!(%error, "the project's containers could not be looked at yet");
        }
    });
    let ledger = gateway.ledger.clone();
    // Nothing was seen before; there is nothing to refuse.
    let _ = ledger.admit(config.epoch);
    let close = config.limits.close;
    let reason = tokio::select! {
        () = control::serve(control, config.session.clone(), ledger.clone(), close) => "the control socket closed",
        () = accept(agent, gateway) => "the socket closed",
        () = wall => "the wall limit passed",
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(reason, "gateway ends");
    ledger.close();
    // Without a control stream nobody hears what came of it; but what was sent is not cut off for that.
    let _ = timeout(close, ledger.idle()).await;
    for socket in [config.socket, config.control] {
        let _ = std::fs::remove_file(socket);
    }
    Ok(())
}

async fn accept(listener: UnixListener, gateway: Arc<Gateway>) {
    let places = Arc::new(Semaphore::new(gateway.limits.connections));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, gateway.clone(), Arc::new(place)));
            }
            // Out of descriptors or memory; connections that end give some back.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                drop(place);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: UnixStream, gateway: Arc<Gateway>, place: Place) {
    let head = gateway.limits.head;
    let service = service_fn(move |request| {
        let (gateway, place) = (gateway.clone(), place.clone());
        async move { Ok::<_, std::convert::Infallible>(gateway.answer(request, place).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(READ_AHEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = serving.await {
        tracing::debug!(%error, "a connection of the agent ended");
    }
}
