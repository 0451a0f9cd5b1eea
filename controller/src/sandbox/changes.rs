//! The controller's end of the stream to a gateway: its changes go to the [`Ledger`], and the ledger's word
//! goes back.
//!
//! One task owns the stream. When it breaks, the gateway holds its changes, the stream is opened again, and
//! what was not answered is said again. A gateway that is gone is made anew, a few times; what was begun and not heard
//! of is then on record as unknown, as it is when the task ends because it is gone for good.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::dial::Dial;
use super::stream::{Identity, Patience};
use super::{Ledger, SandboxError};
use driver::Driver;

mod book;
mod driver;
#[cfg(any(test, fuzzing, feature = "testing"))]
pub mod play;

/// How long the end of a session waits for what is under way.
const CLOSE: Duration = Duration::from_secs(10);

/// A stream to a gateway. Dropping it ends the stream: the gateway then refuses every change.
pub struct Changes {
    close: mpsc::Sender<oneshot::Sender<()>>,
}

impl Changes {
    /// Opens the stream and waits for the gateway's hello.
    pub async fn connect(
        dial: Arc<dyn Dial>,
        identity: Identity,
        patience: Patience,
        ledger: Arc<dyn Ledger>,
    ) -> Result<Self, SandboxError> {
        let (close, orders) = mpsc::channel(1);
        let (driver, link) = Driver::connect(dial, identity, patience, ledger, orders)
            .await
            .map_err(|reason| SandboxError::Lost { reason: format!("its gateway: {reason}") })?;
        tokio::spawn(driver.drive(link));
        Ok(Self { close })
    }

    /// From here on every change is refused; what was under way is ended and on record. Bounded.
    pub async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        // An error means that the task has ended, after it put everything on record.
        if self.close.send(answer).await.is_ok() {
            let _ = timeout(CLOSE * 2, answered).await;
        }
    }
}
