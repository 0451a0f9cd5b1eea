//! Serving until told to stop, and stopping in bounded time.

use std::io;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

// Shorter than the ten seconds after which Docker kills.
const GRACE: Duration = Duration::from_secs(3);

/// Ready at SIGTERM or SIGINT.
pub async fn signalled() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        // Without handlers the signals still end the process, only less gently.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    tracing::info!("asked to stop");
}

/// Serves until `stop`, then finishes what is under way, but not longer than the grace time.
pub async fn until(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) -> io::Result<()> {
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, router).with_graceful_shutdown(async {
        let _ = told.await;
    });
    let mut server = tokio::spawn(server.into_future());
    tokio::select! {
        ended = &mut server => return ended.map_err(io::Error::other)?,
        () = stop => {}
    }
    let _ = tell.send(());
    if let Ok(ended) = tokio::time::timeout(GRACE, &mut server).await {
        return ended.map_err(io::Error::other)?;
    }
    server.abort();
    Ok(())
}
