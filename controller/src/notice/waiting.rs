//! What hinders this process from leading, told by each that is hindered: while the database is away nobody leads, and
//! nobody else could say so. All of them say the same, which an Alertmanager takes as one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::courier::Courier;
use super::wanted::Patience;
use super::{Notice, What};
use crate::config::notices::NoticesConfig;
use crate::http::Readiness;
use crate::metrics::Metrics;
use crate::printable::short_line;

/// Between two looks.
const TICK: Duration = Duration::from_secs(1);

/// Runs until `stop`. Without receivers there is nothing to do.
pub async fn run(
    config: NoticesConfig,
    installation: String,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    if config.receivers.is_empty() {
        return;
    }
    // What is said is what /readyz shows to everybody.
    let clean = |_: &Notice, text: &str| short_line(text, 500);
    let courier = Courier::new(&config.receivers, &installation, Arc::new(clean), Arc::new(|| Ok(())), metrics);
    let mut courier = match courier {
        Ok(courier) => courier,
        Err(why) => return tracing::error!(why, "nobody can be told that the database is away"),
    };
    let mut patience = Patience::default();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let told = async {
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    let why = readiness.list().remove("database");
                    let waits: BTreeMap<_, _> =
                        why.map(|why| (What::Database.as_str(), (What::Database, why))).into_iter().collect();
                    courier.look(&patience.long_enough(waits, config.waiting_after, Instant::now(), Timestamp::now()));
                }
                happened = courier.next() => for one in happened {
                    let receiver = one.receiver;
                    if let Some(why) = one.why {
                        tracing::warn!(receiver, why, "a receiver is not told that the database is away");
                    } else {
                        tracing::info!(receiver, step = ?one.step, "a receiver was told of the database");
                    }
                },
            }
        }
    };
    stop.run_until_cancelled(told).await;
}
