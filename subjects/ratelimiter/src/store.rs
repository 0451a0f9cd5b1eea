//! The connection to Redis.
//!
//! A task of its own keeps it: it connects, writes a probe every second and connects again when the
//! connection is of no use. Requests never connect: they take the connection that is there, or fail
//! at once with the reason for which there is none. So a dead Redis costs a request nothing.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError};
use tokio::sync::{Notify, watch};

use crate::error::{FaultKind, RedisFault};
use crate::metrics::Metrics;

const PROBE_EVERY: Duration = Duration::from_secs(1);
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// Commands that may wait in line for the one connection.
const QUEUE: usize = 1024;

/// What the probe found last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Reads and writes work.
    Good,
    /// There is a connection, but a write was refused.
    Unwritable(RedisFault),
    /// There is no connection.
    Down(RedisFault),
}

#[derive(Clone)]
struct Link {
    connection: Option<MultiplexedConnection>,
    health: Health,
}

/// The connection and what is known about it.
pub struct Store {
    client: Client,
    node: String,
    timeout: Duration,
    link: watch::Sender<Link>,
    suspect: Notify,
    metrics: Arc<Metrics>,
}

impl Store {
    /// Does not connect yet; see [`Store::keep`].
    pub fn new(url: &str, node: &str, timeout: Duration, metrics: Arc<Metrics>) -> Result<Self, RedisError> {
        let down = RedisFault::new(FaultKind::Connection, "not connected to Redis yet");
        Ok(Self {
            client: Client::open(url)?,
            node: node.to_owned(),
            timeout,
            link: watch::Sender::new(Link { connection: None, health: Health::Down(down) }),
            suspect: Notify::new(),
            metrics,
        })
    }

    /// What the probe found last.
    #[must_use]
    pub fn health(&self) -> Health {
        self.link.borrow().health.clone()
    }

    /// Runs something on the connection, within the time limit. Faults are counted here, once.
    pub async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, RedisFault> {
        let (connection, health) = {
            let link = self.link.borrow();
            (link.connection.clone(), link.health.clone())
        };
        let result = match (connection, health) {
            (Some(mut connection), _) => self.limited(work(&mut connection)).await,
            (None, Health::Down(fault) | Health::Unwritable(fault)) => Err(fault),
            (None, Health::Good) => Err(RedisFault::new(FaultKind::Connection, "not connected")),
        };
        if let Err(fault) = &result {
            self.metrics.redis_error(fault.kind);
            if fault.kind.breaks_connection() {
                self.suspect.notify_one();
            }
        }
        result
    }

    // The connection has a time limit for answers, but none for waiting until it takes a command.
    async fn limited<T>(&self, work: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisFault> {
        match tokio::time::timeout(self.timeout, work).await {
            Ok(result) => result.map_err(|error| {
                let mut fault = RedisFault::from(error);
                if fault.kind == FaultKind::Connection {
                    fault.message = format!("connection to Redis broke: {}", fault.message);
                }
                fault
            }),
            Err(_) => Err(RedisFault::new(
                FaultKind::Timeout,
                format!("Redis did not answer within {} ms", self.timeout.as_millis()),
            )),
        }
    }

    /// Keeps the connection, for ever.
    pub async fn keep(&self) {
        let mut before = None;
        loop {
            let fault = match self.connect().await {
                Ok(connection) => self.watch(connection, &mut before).await,
                Err(fault) => fault,
            };
            self.metrics.redis_error(fault.kind);
            self.report(&mut before, Health::Down(fault.clone()));
            self.link.send_replace(Link { connection: None, health: Health::Down(fault) });
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisFault> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            // Longer than our own limit, so that it is always ours that speaks.
            .set_response_timeout(Some(self.timeout * 2))
            .set_pipeline_buffer_size(QUEUE);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        // Resolving the name is not covered by the connection's own time limit.
        match tokio::time::timeout(self.timeout * 2, connecting).await {
            Ok(Ok(connection)) => {
                self.metrics.redis_connects.inc();
                Ok(connection)
            }
            Ok(Err(error)) => {
                let mut fault = RedisFault::from(error);
                fault.message = format!("cannot connect to Redis: {}", fault.message);
                Err(fault)
            }
            Err(_) => Err(RedisFault::new(FaultKind::Timeout, "cannot connect to Redis: timed out")),
        }
    }

    // Probes until the connection is of no use.
    async fn watch(&self, connection: MultiplexedConnection, before: &mut Option<Health>) -> RedisFault {
        let mut own = connection.clone();
        let key = format!("limiter:probe:{}", self.node);
        loop {
            // A write, because a Redis that only reads is of no use to us.
            let mut probe = redis::cmd("SET");
            probe.arg(&key).arg(1).arg("PX").arg(10_000);
            let health = match self.limited(probe.query_async::<()>(&mut own)).await {
                Ok(()) => Health::Good,
                Err(fault) if fault.kind.breaks_connection() => return fault,
                Err(fault) => {
                    self.metrics.redis_error(fault.kind);
                    Health::Unwritable(fault)
                }
            };
            self.report(before, health.clone());
            self.link.send_replace(Link { connection: Some(connection.clone()), health });
            tokio::select! {
                () = tokio::time::sleep(PROBE_EVERY) => {}
                () = self.suspect.notified() => {}
            }
        }
    }

    // A change is logged once; a Redis that stays dead must not fill the log.
    fn report(&self, before: &mut Option<Health>, now: Health) {
        let (up, writable) = match &now {
            Health::Good => (1, 1),
            Health::Unwritable(_) => (1, 0),
            Health::Down(_) => (0, 0),
        };
        self.metrics.redis_up.set(up);
        self.metrics.redis_writable.set(writable);
        if before.as_ref().map(std::mem::discriminant) != Some(std::mem::discriminant(&now)) {
            match &now {
                Health::Good => tracing::info!("Redis works"),
                Health::Unwritable(fault) => {
                    tracing::error!(kind = fault.kind.as_str(), "Redis refuses writes: {fault}");
                }
                Health::Down(fault) => tracing::error!(kind = fault.kind.as_str(), "{fault}"),
            }
        }
        *before = Some(now);
    }
}
