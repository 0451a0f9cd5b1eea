//! `operator audit`: the trail on a terminal.

mod follow;
mod list;
mod output;
mod show;
mod source;
mod target;

use clap::{Args, Subcommand, ValueEnum};
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

use crate::audit::AuditError;
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
            Self::Output(_) => "audit_output",
        }
    }
}

/// Runs it. A reader of our output that goes away (`| head`) ends it without a word.
///
/// # Errors
/// [`AuditCliError`]; the caller prints it and exits with 1.
pub async fn run(args: AuditArgs) -> Result<(), AuditCliError> {
    let source = source::open(&args.source).await?;
    let done = match args.command {
        Command::List(list) => list::run(&source, list).await,
        Command::Show(show) => show::run(&source, &show).await,
        Command::Follow(follow) => follow::run(&source, &follow).await,
    };
    match done {
        Err(AuditCliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
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
