//! `operator audit`: the trail on a terminal.

mod export;
mod follow;
mod key;
mod list;
pub(super) mod output;
mod prune;
mod show;
mod source;
mod target;
mod verify;
mod witness;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

use crate::audit::AuditError;
use crate::audit::postgres::MigrateError;
use crate::audit::proof::export::ExportError;
use crate::audit::remote::ConnectError;

pub use source::SourceArgs;

/// Reads the audit trail.
#[derive(Args, Clone, Debug)]
pub struct AuditArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Clone, Debug)]
enum Command {
    /// Lists sessions, the newest first.
    List(ListArgs),
    /// Shows a session, or all attempts of an Incident: reasoning, commands, results, in order.
    Show(ShowArgs),
    /// Shows a session as it happens, until it is sealed. Of an Incident: its latest session, waiting for it to begin.
    Follow(FollowArgs),
    /// Checks that nothing of the trail was changed, removed or slipped in. Names each place where something was, and
    /// ends with 1 then.
    Verify(VerifyArgs),
    /// Writes the trail as JSON lines, which `verify --file` checks without the database.
    Export(ExportArgs),
    /// Removes whole sessions that ended long ago, and leaves a signed tombstone. Needs the database as its pruning
    /// role, and the signing key.
    Prune(PruneArgs),
    /// Prints the public key that the trail is signed with.
    Key(KeyArgs),
}

#[derive(Args, Clone, Debug)]
struct VerifyArgs {
    /// Sessions' ids or Incidents' names (or NAMESPACE/NAME); by default, or with `all`, everything.
    #[arg(value_name = "SESSION|INCIDENT")]
    targets: Vec<String>,
    /// A public key that must have signed it: a file, or 64 hex digits. May be given again.
    #[arg(long, value_name = "FILE|HEX")]
    public_key: Vec<String>,
    /// An export instead of the store.
    #[arg(long, value_name = "EXPORT", conflicts_with = "targets")]
    file: Option<PathBuf>,
    /// Incidents whose statuses have seen the trail, as `kubectl get incidents -A -o json` prints them. By default they
    /// are asked of the cluster, if that is where the trail is read.
    #[arg(long, value_name = "FILE")]
    incidents: Option<PathBuf>,
    /// The form of the output.
    #[arg(short, long, value_enum, default_value_t = FollowFormat::Text)]
    output: FollowFormat,
}

#[derive(Args, Clone, Debug)]
struct ExportArgs {
    /// Only this session. May be given again.
    #[arg(long, value_name = "ID")]
    session: Vec<String>,
    /// Only the sessions of this Incident. May be given again.
    #[arg(long, value_name = "NAME")]
    incident: Vec<String>,
    /// Only sessions that began since then: 30m, 2h, 7d, or a time (2026-01-28T20:00:00Z).
    #[arg(long, value_name = "WHEN", value_parser = parse_since, conflicts_with_all = ["session", "incident"])]
    since: Option<Timestamp>,
}

#[derive(Args, Clone, Debug)]
struct PruneArgs {
    /// Only sessions that ended before then: 90d, 24h, or a time.
    #[arg(long, value_name = "DURATION", value_parser = parse_since)]
    older_than: Timestamp,
    /// Says what would be removed, and removes nothing.
    #[arg(long)]
    dry_run: bool,
    /// The key that signs the trail.
    #[arg(long, env = "OPERATOR_SIGNING_KEY", value_name = "FILE", required_unless_present = "dry_run")]
    signing_key: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
struct KeyArgs {
    /// The form of the output.
    #[arg(short, long, value_enum, default_value_t = KeyFormat::Pem)]
    output: KeyFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KeyFormat {
    Pem,
    Hex,
    Json,
}

#[derive(Args, Clone, Debug)]
struct ListArgs {
    /// Only sessions on this Subject.
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Only sessions of this Incident.
    #[arg(long, value_name = "NAME")]
    incident: Option<String>,
    /// Of every namespace.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only sessions in this phase.
    #[arg(long, value_name = "PHASE", value_parser = clap::builder::PossibleValuesParser::new(PHASES), ignore_case = true)]
    phase: Option<String>,
    /// Only sessions that began since then: 30m, 2h, 7d, or a time (2026-01-28T20:00:00Z).
    #[arg(long, value_name = "WHEN", value_parser = parse_since)]
    since: Option<Timestamp>,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// The form of the output.
    #[arg(short, long, value_enum, default_value_t = ListFormat::Table)]
    output: ListFormat,
}

#[derive(Args, Clone, Debug)]
struct ShowArgs {
    /// A session's id, or an Incident's name (or NAMESPACE/NAME).
    #[arg(value_name = "SESSION|INCIDENT")]
    target: String,
    /// The form of the output.
    #[arg(short, long, value_enum, default_value_t = ShowFormat::Text)]
    output: ShowFormat,
    /// All output and details, not only the first and last lines.
    #[arg(long)]
    full: bool,
}

#[derive(Args, Clone, Debug)]
struct FollowArgs {
    /// A session's id, or an Incident's name (or NAMESPACE/NAME).
    #[arg(value_name = "SESSION|INCIDENT")]
    target: String,
    /// The form of the output; json is one entry a line.
    #[arg(short, long, value_enum, default_value_t = FollowFormat::Text)]
    output: FollowFormat,
    /// All output and details, not only the first and last lines.
    #[arg(long)]
    full: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    Table,
    Wide,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ShowFormat {
    Text,
    Json,
    Markdown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FollowFormat {
    Text,
    Json,
}

/// The phases that a session can be in.
const PHASES: [&str; 7] = ["Running", "Verifying", "Resolved", "Concluded", "Escalated", "Failed", "Cancelled"];

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum AuditCliError {
    /// No way to the trail.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The cluster's configuration cannot be used.
    #[error(
        "no cluster to ask: {0}. Choose one with --context or KUBECONFIG, or read the database itself with --database-url"
    )]
    NoCluster(String),
    /// The trail could not be read.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// There is no such session or Incident.
    #[error("{0}")]
    NotFound(String),
    /// A file that was named cannot be used.
    #[error("{0}")]
    File(String),
    /// Something does not hold.
    #[error("the trail does not hold: {0}")]
    NotVerified(String),
    /// The database that is to be pruned.
    #[error(transparent)]
    Database(#[from] MigrateError),
    /// Standard output could not be written.
    #[error("the output could not be written")]
    Output(#[source] std::io::Error),
}

impl AuditCliError {
    /// A static name for logs.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Connect(_) => "audit_connect",
            Self::NoCluster(_) => "audit_no_cluster",
            Self::Audit(error) => error.category(),
            Self::NotFound(_) => "audit_not_found",
            Self::File(_) => "audit_file",
            Self::NotVerified(_) => "audit_not_verified",
            Self::Database(error) => error.category(),
            Self::Output(_) => "audit_output",
        }
    }
}

/// Runs it. A reader of our output that goes away (`| head`) ends it without a word.
///
/// # Errors
/// [`AuditCliError`]; the caller prints it and exits with 1.
pub async fn run(args: AuditArgs) -> Result<(), AuditCliError> {
    match done(args).await {
        Err(AuditCliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

async fn done(args: AuditArgs) -> Result<(), AuditCliError> {
    let open = async || source::open(&args.source).await;
    match args.command {
        Command::List(list) => list::run(&open().await?, list).await,
        Command::Show(show) => show::run(&open().await?, &show).await,
        Command::Follow(follow) => follow::run(&open().await?, &follow).await,
        Command::Verify(verify) if verify.file.is_some() => verify::run(None, &verify).await,
        Command::Verify(verify) => verify::run(Some(&open().await?), &verify).await,
        Command::Export(export) => export::run(&open().await?, &export).await,
        Command::Prune(prune) => prune::run(&args.source, &prune).await,
        Command::Key(key) => key::run(&open().await?, &key).await,
    }
}

impl From<ExportError> for AuditCliError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Audit(error) => Self::Audit(error),
            ExportError::Write(error) => Self::Output(error),
        }
    }
}

/// A length of time back from now, or a time.
fn parse_since(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let expected = || format!("{text:?} is neither a length of time (30m, 2h, 7d) nor a time (2026-01-28T20:00:00Z)");
    let span: Span = text.parse().map_err(|_| expected())?;
    let back: SignedDuration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| expected())?;
    Timestamp::now().checked_sub(back.abs()).map_err(|_| expected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        audit: AuditArgs,
    }

    #[test]
    fn the_commands_of_the_interface_parse() {
        for line in [
            "audit list",
            "audit list --subject s --incident i -n ns --phase resolved --since 2h --limit 5 -o wide",
            "audit list -A -o json",
            "audit show 2026-01-28T20-54-48-3a029c12 -o markdown --full",
            "audit show redis-readonly -n demo --database-url postgres://u:p@h/d",
            "audit follow demo/redis-readonly --audit-url http://localhost:8081",
            "audit verify",
            "audit verify all --public-key key.pem --public-key other.pem -o json",
            "audit verify demo/redis-readonly 2026-01-28T20-54-48-3a029c12 --incidents incidents.json",
            "audit verify --file trail.jsonl",
            "audit export --since 7d",
            "audit export --incident a --session 2026-01-28T20-54-48-3a029c12",
            "audit prune --older-than 90d --dry-run",
            "audit prune --older-than 90d --signing-key signing.key",
            "audit key -o hex",
        ] {
            let parsed = Program::try_parse_from(line.split(' '));
            assert!(parsed.is_ok_and(|program| format!("{:?}", program.audit).contains("command")), "{line}");
        }
        for line in [
            "audit",
            "audit list --phase Sleeping",
            "audit list --since yesterday",
            "audit list --limit 0",
            "audit show",
            "audit verify x --file trail.jsonl",
            "audit prune",
            "audit prune --older-than 90d",
        ] {
            assert!(Program::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn since_is_a_length_or_a_time() {
        let now = Timestamp::now();
        for (text, seconds) in [("30m", 1800), ("2h", 7200), ("7d", 604_800), ("1h 30m", 5400)] {
            let ago = now.duration_since(parse_since(text).unwrap()).as_secs();
            assert!((ago - seconds).abs() <= 1, "{text}: {ago}");
        }
        assert_eq!(parse_since("2026-01-28T20:00:00Z").unwrap().to_string(), "2026-01-28T20:00:00Z");
        assert!(parse_since("soon").is_err());
        assert!(parse_since("9999999y").is_err());
    }
}
