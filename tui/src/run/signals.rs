//! Signals, as messages.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use crate::feed::Outlet;
use crate::msg::Msg;

/// A stop that comes so soon after we went on is the echo of our own.
const ECHO: Duration = Duration::from_millis(500);

/// What is known of signals.
pub(super) struct Signals {
    went_on: Option<Instant>,
}

impl Signals {
    /// Listens.
    pub(super) fn new(outlet: Outlet) -> io::Result<Self> {
        for kind in [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()] {
            let code = u8::try_from(128 + kind.as_raw_value()).unwrap_or(1);
            listen(kind, outlet.clone(), Msg::End(code))?;
        }
        listen(SignalKind::from_raw(Signal::TSTP.as_raw()), outlet.clone(), Msg::Stop)?;
        listen(SignalKind::from_raw(Signal::CONT.as_raw()), outlet, Msg::Resumed)?;
        Ok(Self { went_on: None })
    }

    /// Whether a wish to stop is meant.
    pub(super) fn may_stop(&self) -> bool {
        self.went_on.is_none_or(|at| at.elapsed() > ECHO)
    }

    /// After a stop.
    pub(super) fn went_on(&mut self) {
        self.went_on = Some(Instant::now());
    }
}

fn listen(kind: SignalKind, outlet: Outlet, message: Msg) -> io::Result<()> {
    let mut signals = signal(kind)?;
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            if outlet.message(message.clone()).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}
