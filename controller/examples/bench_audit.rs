//! Measures the audit store: how long an append takes and how many there are in a second.
//!
//! ```text
//! cargo run --example bench_audit -- --database-url postgres://… [--rows 2000] [--writers 1] [--bytes 500]
//! ```
//! The database has to be migrated. With `--private-server` it is one on a server of this process that
//! waits for the disk; with `--pgbench PROGRAM` the same number of rows of the same size is inserted by
//! `pgbench` on the same server, in turns with the store. Prints one line of JSON.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use controller::audit::postgres::Acquired;
use controller::audit::testing::{EPOCH, TestDatabase, TestServer};
use controller::audit::{AuditError, AuditStore, EntryBody, NewSession, PostgresStore, ReasoningEntry};
use controller::session::SessionId;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

#[derive(Parser)]
struct Args {
    /// The database.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, required_unless_present = "private_server")]
    database_url: Option<SecretString>,
    /// A server that is started for this and goes with it.
    #[arg(long)]
    private_server: bool,
    /// The program `pgbench`; needs a private server, where it makes a table.
    #[arg(long, requires = "private_server")]
    pgbench: Option<PathBuf>,
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

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How often the store and `pgbench` take turns; each does its share of the rows.
const ROUNDS: u64 = 4;

#[tokio::main]
async fn main() -> Outcome<()> {
    let args = Args::parse();
    let private = if args.private_server { Some(TestServer::start_durable()) } else { None };
    let database = match &private {
        Some(server) => Some(server.database().await),
        None => None,
    };
    let url = match (&database, &args.database_url) {
        (Some(database), _) => database.url.clone(),
        (None, Some(url)) => url.expose_secret().to_owned(),
        (None, None) => return Err("no database".into()),
    };
    let writers = args.writers.max(1);
    let connections = u32::try_from(writers).unwrap_or(u32::MAX).min(50) + 2;
    let store = PostgresStore::connect_with(&url, connections, Duration::from_secs(30))?;
    store.check_schema().await?;
    let holder = format!("bench_audit {}", std::process::id());
    let (epoch, taken) = match &private {
        Some(_) => (EPOCH, false),
        None => match store.acquire_lease(&holder, Duration::from_mins(10)).await? {
            Acquired::Ours { epoch } => (epoch, true),
            Acquired::Theirs { holder, .. } => return Err(format!("{holder} leads on this database").into()),
        },
    };
    let store = store.fenced(epoch);
    let measured = measure(&args, &store, database.as_ref(), writers).await;
    if taken {
        store.release_lease(&holder, epoch).await?;
    }
    println!("{}", measured?);
    Ok(())
}

async fn measure(
    args: &Args,
    store: &PostgresStore,
    database: Option<&TestDatabase>,
    writers: u64,
) -> Outcome<serde_json::Value> {
    if let (Some(_), Some(database)) = (&args.pgbench, database) {
        // What `entries` is, without the functions and triggers around it.
        database
            .as_owner("CREATE TABLE plain (session_id text, seq bigint, kind text, at timestamptz, body bytea, data jsonb, PRIMARY KEY (session_id, seq)); CREATE SEQUENCE plain_seq CACHE 100")
            .await;
    }
    let (mut ours, mut theirs) = (Run::default(), Run::default());
    // The first round warms up both.
    for round in 0..=ROUNDS {
        let each = (args.rows / writers / ROUNDS).max(1);
        let appended = append(store, writers, each, args.bytes).await?;
        let inserted = match (&args.pgbench, database) {
            (Some(program), Some(database)) => insert(program, &database.owner_url, writers, each, args.bytes).await?,
            _ => Run::default(),
        };
        if round > 0 {
            ours.add(appended);
            theirs.add(inserted);
        }
    }
    let mut figures = ours.figures();
    figures["writers"] = writers.into();
    figures["bytes"] = args.bytes.into();
    if args.pgbench.is_some() {
        figures["pgbench"] = theirs.figures();
    }
    Ok(figures)
}

/// How long each row took, and all of them together.
#[derive(Default)]
struct Run {
    times: Vec<Duration>,
    elapsed: Duration,
}

impl Run {
    fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.elapsed += other.elapsed;
    }

    #[allow(clippy::cast_precision_loss)] // a rate
    fn figures(mut self) -> serde_json::Value {
        self.times.sort_unstable();
        let at = |permille: usize| {
            let index = self.times.len().saturating_sub(1) * permille / 1000;
            self.times.get(index).map_or(0, Duration::as_micros)
        };
        serde_json::json!({
            "rows": self.times.len(), "rows_per_s": (self.times.len() as f64 / self.elapsed.as_secs_f64()).round(),
            "p50_us": at(500), "p99_us": at(990), "max_us": at(1000),
        })
    }
}

async fn append(store: &PostgresStore, writers: u64, each: u64, bytes: usize) -> Outcome<Run> {
    let begun = Instant::now();
    let tasks: Vec<_> = (0..writers).map(|n| tokio::spawn(write(store.clone(), n, each, bytes))).collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    Ok(Run { times, elapsed: begun.elapsed() })
}

/// One row a transaction by `pgbench`, prepared, as many clients as the store has writers.
async fn insert(program: &Path, url: &str, clients: u64, each: u64, bytes: usize) -> Outcome<Run> {
    let folder = tempfile::tempdir()?;
    let text = text(bytes);
    // The statement's size on the wire is about that of an entry's body; the document is made of it on
    // the server, as the store does.
    let script = format!(
        "INSERT INTO plain SELECT 's' || :client_id, nextval('plain_seq'), 'reasoning', now(), convert_to(body, 'UTF8'), body::jsonb FROM (SELECT '{{\"text\": \"{text}\"}}' AS body) AS entry;\n"
    );
    std::fs::write(folder.path().join("insert.sql"), script)?;
    let mut command = tokio::process::Command::new(program);
    command.current_dir(folder.path()).args(["--no-vacuum", "--log", "--log-prefix=row", "--protocol=prepared"]);
    command.args(["--file=insert.sql", &format!("--client={clients}"), &format!("--transactions={each}"), url]);
    let output = command.output().await?;
    if !output.status.success() {
        return Err(format!("pgbench: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let rate: f64 =
        said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok()).ok_or("no tps")?;
    let mut times = Vec::new();
    for file in std::fs::read_dir(folder.path())? {
        let path = file?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("row.")) {
            // client, transaction, microseconds, …
            let log = std::fs::read_to_string(path)?;
            let micros = log.lines().filter_map(|line| line.split(' ').nth(2)?.parse().ok());
            times.extend(micros.map(Duration::from_micros));
        }
    }
    #[allow(clippy::cast_precision_loss)]
    let elapsed = Duration::from_secs_f64(times.len() as f64 / rate);
    Ok(Run { times, elapsed })
}

/// Not one letter again and again, which would pack to nothing.
fn text(bytes: usize) -> String {
    (0..bytes).map(|i| char::from(b'a' + u8::try_from(i * 7919 % 26).unwrap_or(0))).collect()
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
    let body = EntryBody::Reasoning(ReasoningEntry { turn: 1, text: text(bytes), thinking: false });
    let mut times = Vec::new();
    for seq in (1..).take(usize::try_from(rows).unwrap_or(usize::MAX)) {
        let begun = Instant::now();
        store.append(&session, seq, Timestamp::now(), &body).await?;
        times.push(begun.elapsed());
    }
    Ok(times)
}
