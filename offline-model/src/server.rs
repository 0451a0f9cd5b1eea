//! The HTTP server, in a process of its own or inside a test.

mod body;
mod record;
mod respond;
mod routes;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use record::RecordedRequest;

use crate::cache;
use crate::script::ScriptSet;
use routes::State;

/// How long open connections may take to end at a shutdown.
const GRACE: Duration = Duration::from_secs(5);

/// How the server runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How long each answer takes where its rule does not say; goes before the script's default.
    pub delay_ms: Option<u64>,
    /// How long a summary by `offline-summary` takes.
    pub summary_delay_ms: u64,
    /// How many of the latest requests [`Handle::requests`] can give.
    pub recorded_requests: usize,
    /// Prompts with fewer tokens than this are not cached.
    pub cache_min_tokens: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            delay_ms: None,
            summary_delay_ms: 0,
            recorded_requests: 256,
            cache_min_tokens: cache::MIN_TOKENS,
        }
    }
}

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

/// Starts servers.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Starts a server in the background of the current runtime.
    pub async fn start(scripts: ScriptSet, options: Options) -> Result<Handle, ServeError> {
        let failed = |source| ServeError::Listen { addr: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let state = Arc::new(State::new(scripts, options));
        let app = routes::app(Arc::clone(&state));
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            // A dropped handle stops the server just as a shutdown does.
            let serve = axum::serve(listener, app).with_graceful_shutdown(async {
                let _ = stopped.await;
            });
            if let Err(error) = serve.await {
                tracing::error!(%error, "the server ended");
            }
        });
        Ok(Handle { addr, state, stop, task })
    }
}

/// A running server.
#[derive(Debug)]
pub struct Handle {
    addr: SocketAddr,
    state: Arc<State>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Handle {
    /// The address that was bound.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What a client takes as its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The latest requests, oldest first, refused ones too.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state.records.all()
    }

    /// Forgets the recorded requests.
    pub fn forget_requests(&self) {
        self.state.records.clear();
    }

    /// Stops listening, and waits a little for the answers under way.
    pub async fn shutdown(self) {
        let Self { stop, mut task, .. } = self;
        drop(stop);
        if tokio::time::timeout(GRACE, &mut task).await.is_err() {
            task.abort();
        }
    }
}
