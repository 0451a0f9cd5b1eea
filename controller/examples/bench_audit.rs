//! Measures the audit store: how long an append takes and how many there are in a second.
//!
//! ```text
//! cargo run --example bench_audit -- --database-url postgres://… [--rows 2000] [--writers 1] [--bytes 500]
//! ```
//! The database has to be migrated. Prints one line of JSON, to be read beside `pgbench` on the same
//! server.

use std::time::{Duration, Instant};

use clap::Parser;
use controller::audit::{AuditError, AuditStore, EntryBody, NewSession, PostgresStore, ReasoningEntry};
use controller::session::SessionId;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

#[derive(Parser)]
struct Args {
    /// The database.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: SecretString,
    /// Rows in all.
    #[arg(long, default_value_t = 2000)]
    rows: u64,
    /// Sessions that write at the same time.
    #[arg(long, default_value_t = 1)]
    writers: u64,
    /// Bytes of text in an entry.
    #[arg(long, default_value_t = 500)]
    bytes: usize,
}

#[tokio::main]
async fn main() -> Result<(), AuditError> {
    let args = Args::parse();
    let writers = args.writers.max(1);
    let connections = u32::try_from(writers).unwrap_or(u32::MAX).min(50) + 2;
    let store = PostgresStore::connect_with(args.database_url.expose_secret(), connections, Duration::from_secs(30))?;
    store.check_schema().await?;
    let each = (args.rows / writers).max(1);
    let begun = Instant::now();
    let tasks: Vec<_> = (0..writers).map(|n| tokio::spawn(write(store.clone(), n, each, args.bytes))).collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.map_err(|error| AuditError::Refused(error.to_string()))??);
    }
    let elapsed = begun.elapsed();
    times.sort_unstable();
    let at = |permille: usize| times[(times.len() - 1) * permille / 1000].as_micros();
    #[allow(clippy::cast_precision_loss)] // a rate
    let rate = times.len() as f64 / elapsed.as_secs_f64();
    println!(
        "{}",
        serde_json::json!({
            "rows": times.len(), "writers": writers, "bytes": args.bytes, "rows_per_s": rate.round(),
            "p50_us": at(500), "p99_us": at(990), "max_us": at(1000),
        })
    );
    Ok(())
}

async fn write(store: PostgresStore, writer: u64, rows: u64, bytes: usize) -> Result<Vec<Duration>, AuditError> {
    let now = Timestamp::now();
    let id = SessionId::new(now);
    let new = NewSession {
        incident_uid: format!("bench-{id}"),
        incident_namespace: "bench".into(),
        incident_name: format!("bench-{writer}"),
        attempt: 1,
        subject: "bench".into(),
        model: "none".into(),
        title: "A measurement".into(),
        severity: "info".into(),
        started_at: now,
        id,
    };
    let session = store.begin_session(&new).await?.new.id;
    // Not one letter again and again, which would pack to nothing.
    let text: String = (0..bytes).map(|i| char::from(b'a' + u8::try_from(i * 7919 % 26).unwrap_or(0))).collect();
    let body = EntryBody::Reasoning(ReasoningEntry { turn: 1, text, thinking: false });
    let mut times = Vec::new();
    for seq in (1..).take(usize::try_from(rows).unwrap_or(usize::MAX)) {
        let begun = Instant::now();
        store.append(&session, seq, Timestamp::now(), &body).await?;
        times.push(begun.elapsed());
    }
    Ok(times)
}
