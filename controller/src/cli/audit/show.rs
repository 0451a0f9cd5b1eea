//! `operator audit show`.

use jiff::Timestamp;

use super::output::{print, style};
use super::source::Source;
use super::target::{Target, no_incident, no_session, sessions_of};
use super::{AuditCliError, ShowArgs, ShowFormat};
use crate::audit::reader::all_entries;
use crate::audit::render::{Shown, json, markdown, text};

pub(super) async fn run(source: &Source, args: &ShowArgs) -> Result<(), AuditCliError> {
    let sessions = match Target::parse(&args.target, &source.namespace) {
        Target::Session(id) => match source.reader.session(&id).await? {
            Some(session) => vec![session],
            None => return Err(no_session(source, &id).await),
        },
        Target::Incident { namespace, name } => {
            let sessions = sessions_of(source, &namespace, &name).await?;
            if sessions.is_empty() {
                return Err(no_incident(source, &namespace, &name).await);
            }
            sessions
        }
    };
    let mut all = Vec::new();
    for session in sessions {
        let entries = all_entries(&*source.reader, &session.new.id).await?;
        all.push(Shown { session, entries });
    }
    let now = Timestamp::now();
    print(&match args.output {
        ShowFormat::Json => json::shown(&all),
        ShowFormat::Markdown => markdown::shown(&all, args.full, now),
        ShowFormat::Text => text::shown(&all, text::Options { full: args.full, style: style(), now }),
    })
}
