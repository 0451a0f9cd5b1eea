//! `operator audit export`.

use std::io::BufWriter;

use super::source::Source;
use super::target::{Target, no_incident, sessions_of};
use super::{AuditCliError, ExportArgs};
use crate::audit::proof::export::export;
use crate::audit::proof::row::{Scope, records};
use crate::session::SessionId;

pub(super) async fn run(source: &Source, args: &ExportArgs) -> Result<(), AuditCliError> {
    let scope = scope(source, args).await?;
    let records = records(source.reader.clone() as _, scope.clone());
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout());
    let totals = export(records, scope, &mut out).await?;
    eprintln!("{} sessions, {} entries, {} links", totals.sessions, totals.entries, totals.links);
    Ok(())
}

async fn scope(source: &Source, args: &ExportArgs) -> Result<Scope, AuditCliError> {
    if let Some(since) = args.since {
        return Ok(Scope::Since(since));
    }
    let mut ids: Vec<SessionId> = args.session.iter().map(|id| SessionId::from(id.clone())).collect();
    for name in &args.incident {
        ids.extend(sessions_named(source, name).await?);
    }
    Ok(if ids.is_empty() { Scope::All } else { Scope::Sessions(ids) })
}

/// The sessions of an Incident by its name, or the one session of that name.
pub(super) async fn sessions_named(source: &Source, text: &str) -> Result<Vec<SessionId>, AuditCliError> {
    match Target::parse(text, &source.namespace) {
        Target::Session(id) => Ok(vec![id]),
        Target::Incident { namespace, name } => {
            let found = sessions_of(source, &namespace, &name).await?;
            if found.is_empty() {
                return Err(no_incident(source, &namespace, &name).await);
            }
            Ok(found.into_iter().map(|session| session.new.id).collect())
        }
    }
}
