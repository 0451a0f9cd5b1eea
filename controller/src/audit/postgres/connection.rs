//! Connections: how they are opened, and when one is thrown away.

use std::ops::{Deref, DerefMut};
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool, Postgres};
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use super::error::{Doing, classify, spoils_connection, too_slow};
use super::{MigrateError, PostgresStore};
use crate::audit::AuditError;
use crate::leader::Leadership;

/// A connection that rested for longer is asked whether it still lives before it is used. Asking
/// each time would double the round trips of an append.
const RESTED: Duration = Duration::from_secs(1);

/// The options of every connection to the database at `url`.
pub(super) fn options(url: &str, limit: Duration) -> Result<PgConnectOptions, AuditError> {
    let options = PgConnectOptions::from_str(url).map_err(|error| {
        AuditError::Refused(format!(
            "the database's URL cannot be read (expected postgres://USER:PASSWORD@HOST:5432/DATABASE): {error}"
        ))
    })?;
    // The server gives up before we do, so that nothing of ours stays behind in it.
    let server_limit = limit.saturating_sub(Duration::from_millis(500)).max(Duration::from_millis(100));
    Ok(options
        .application_name("operator")
        .options([("statement_timeout", server_limit.as_millis().to_string())])
        .disable_statement_logging())
}

/// `host:port/database`, for people.
pub(super) fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{}/{database}", socket.display()),
        None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
    }
}

/// A pool that opens connections when they are needed.
pub(super) fn pool(options: PgConnectOptions, connections: u32, limit: Duration) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections.max(1))
        .acquire_timeout(limit)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > RESTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

/// One connection, waiting up to `wait` for the database to answer and to let us in.
pub(super) async fn open(
    options: &PgConnectOptions,
    wait: Duration,
    waiting: &mut dyn FnMut(&str),
) -> Result<PgConnection, MigrateError> {
    const PAUSE: Duration = Duration::from_millis(500);
    const ATTEMPT: Duration = Duration::from_secs(5);
    const SAY_EVERY: Duration = Duration::from_secs(5);
    let place = place(options);
    let begun = Instant::now();
    let mut said: Option<Instant> = None;
    loop {
        let attempt = tokio::time::timeout(ATTEMPT, options.connect()).await;
        let error = match attempt {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error,
            Err(_) => sqlx::Error::PoolTimedOut,
        };
        let waited = begun.elapsed();
        if waited + PAUSE > wait || !classify(&error, Doing::Asking).is_transient() {
            return Err(MigrateError::NoDatabase { place, waited, source: error });
        }
        if said.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            waiting(&format!(
                "waiting for the database at {place}, for another {:?} at most: {error}",
                wait.saturating_sub(waited)
            ));
            said = Some(Instant::now());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A connection for one statement. Unless [`Borrowed::settle`] finds it in good order it is closed,
/// not returned: after a timeout or a dropped future nobody knows what it is still doing.
pub(super) struct Borrowed {
    connection: PoolConnection<Postgres>,
    in_order: bool,
    limit: Duration,
    leadership: Option<Leadership>,
    /// When the call has to be over.
    pub(super) until: Instant,
}

impl PostgresStore {
    /// A connection from the pool. The time that it takes counts towards the call's limit.
    pub(super) async fn connection(&self) -> Result<Borrowed, AuditError> {
        let until = Instant::now() + self.limit;
        match self.pool.acquire().await {
            Ok(connection) => {
                let (limit, leadership) = (self.limit, self.leadership.clone());
                Ok(Borrowed { connection, in_order: false, limit, leadership, until })
            }
            Err(error) => Err(classify(&error, Doing::Asking)),
        }
    }
}

impl Borrowed {
    /// Ends the call: what came of it, with the connection back in the pool if it is fit for it.
    pub(super) fn settle<T>(
        mut self,
        answer: Result<Result<T, sqlx::Error>, Elapsed>,
        doing: Doing<'_>,
    ) -> Result<T, AuditError> {
        match answer {
            Err(_) => Err(too_slow(self.limit)),
            Ok(Err(error)) => {
                self.in_order = !spoils_connection(&error);
                let error = classify(&error, doing);
                // Whoever hears of the error must find everything else refused, too.
                if let (Some(leadership), AuditError::Fenced(_) | AuditError::Schema(_)) = (&self.leadership, &error) {
                    leadership.end();
                }
                Err(error)
            }
            Ok(Ok(value)) => {
                self.in_order = true;
                Ok(value)
            }
        }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if !self.in_order {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for Borrowed {
    type Target = PgConnection;
    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Borrowed {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
