//! `ratelimiter serve`: puts one node together and runs it.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::audit;
use crate::cli::{OnRedisFailure, ServeArgs, StartError};
use crate::http::{App, router};
use crate::limits::Limit;
use crate::metrics::Metrics;
use crate::shutdown::until;
use crate::store::Store;
use crate::tally::Tally;
use crate::window::Window;

/// Runs a node until `stop` is ready.
pub async fn serve(args: ServeArgs, stop: impl Future<Output = ()>) -> Result<(), StartError> {
    let listener =
        TcpListener::bind(&args.listen).await.map_err(|error| StartError::Listen(args.listen.clone(), error))?;
    serve_on(listener, args, stop).await
}

/// The same on a socket that is open already (tests).
pub async fn serve_on(
    listener: TcpListener,
    args: ServeArgs,
    stop: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let default = Limit { limit: args.default_limit, window_ms: args.default_window_ms }
        .checked()
        .map_err(|error| StartError::Setting("default limit", error.to_string()))?;
    // A name of its own for every start: a node that starts anew knows nothing of its former counts.
    let tag = format!("{}-{:08x}", args.node, rand::random::<u32>());
    let timeout = Duration::from_millis(args.redis_timeout_ms);
    let metrics = Arc::new(Metrics::new(&args.node));
    let store = Store::new(&args.redis_url, &args.node, timeout, Arc::clone(&metrics))
        .map_err(|error| StartError::Setting("Redis URL", error.to_string()))?;
    let store = Arc::new(store);
    let tally = Arc::new(Tally::new(args.audited_keys));

    let keeper = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.keep().await }
    });
    let auditor = tokio::spawn(audit::run(
        Arc::clone(&store),
        Arc::clone(&tally),
        Arc::clone(&metrics),
        default,
        tag.clone(),
        timeout + Duration::from_millis(100),
    ));
    let app = Arc::new(App {
        window: Window::new(default, &tag),
        fail_open: args.on_redis_failure == OnRedisFailure::Allow,
        node: args.node,
        store,
        tally,
        metrics,
    });
    if let Ok(address) = listener.local_addr() {
        tracing::info!(node = app.node, %address, "listening");
    }
    let served = until(listener, router(app), stop).await;
    keeper.abort();
    auditor.abort();
    served.map_err(StartError::Serve)
}
