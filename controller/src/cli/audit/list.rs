//! `operator audit list`.

use jiff::Timestamp;

use super::output::{print, style};
use super::source::Source;
use super::{AuditCliError, ListArgs, ListFormat};
use crate::audit::SessionFilter;
use crate::audit::render::{json, table};

pub(super) async fn run(source: &Source, args: ListArgs) -> Result<(), AuditCliError> {
    let filter = SessionFilter {
        namespace: (!args.all_namespaces).then(|| source.namespace.clone()),
        incident: args.incident,
        subject: args.subject,
        phase: args.phase,
        since: args.since,
        limit: Some(args.limit),
    };
    let sessions = source.reader.sessions(&filter).await?;
    if args.output == ListFormat::Json {
        return print(&json::sessions(&sessions));
    }
    if sessions.is_empty() {
        match filter.namespace {
            Some(namespace) => eprintln!("No sessions found in the namespace {namespace}."),
            None => eprintln!("No sessions found."),
        }
        return Ok(());
    }
    let options = table::Options {
        namespaces: args.all_namespaces,
        wide: args.output == ListFormat::Wide,
        now: Timestamp::now(),
        style: style(),
    };
    print(&table::sessions(&sessions, options))
}
