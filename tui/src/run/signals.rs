//! Signals, as messages.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use crate::feed::Outlet;
use crate::msg::Msg;

/// What is known of signals.
pub(super) struct Signals {
    /// Whether the next wish to stop is our own: the whole job was told to, and so were we.
    echo: bool,
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
        Ok(Self { echo: false })
    }

    /// Whether a wish to stop is meant. Who is told so stops the whole job.
    pub(super) fn may_stop(&mut self) -> bool {
        self.echo = !self.echo;
        self.echo
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
