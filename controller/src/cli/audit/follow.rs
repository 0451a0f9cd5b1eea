//! `operator audit follow`.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;

use super::output::{print, style};
use super::source::Source;
use super::target::{Target, must_exist, no_session, sessions_of};
use super::{AuditCliError, FollowArgs, FollowFormat};
use crate::audit::render::{json, text};
use crate::audit::{Followed, SessionRecord};

/// How often to look whether a session has begun.
const LOOK: Duration = Duration::from_secs(1);

pub(super) async fn run(source: &Source, args: &FollowArgs) -> Result<(), AuditCliError> {
    let session = match Target::parse(&args.target, &source.namespace) {
        Target::Session(id) => match source.reader.session(&id).await? {
            Some(session) => session,
            None => return Err(no_session(source, &id).await),
        },
        Target::Incident { namespace, name } => begun(source, &namespace, &name).await?,
    };
    let id = session.new.id.clone();
    let options = || text::Options { full: args.full, style: style(), now: Timestamp::now() };
    let pretty = args.output == FollowFormat::Text;
    if pretty {
        print(&format!("{}\n", text::header(&session, options())))?;
    }
    let mut followed = Arc::clone(&source.reader).follow(id.clone(), 0);
    while let Some(next) = followed.next().await {
        match next? {
            Followed::Entry(entry) if pretty => print(&text::step(&session, &entry, options()))?,
            Followed::Entry(entry) => print(&json::entry(&entry))?,
            Followed::Back => eprintln!("reading again"),
            Followed::Waiting(reason) => eprintln!("waiting: {}", crate::printable::one_line(&reason)),
        }
    }
    if !pretty {
        return Ok(());
    }
    // The row follows the seal by a moment; a row that stays behind is shown as it is.
    let mut last = session;
    for _ in 0..20 {
        match source.reader.session(&id).await {
            Ok(Some(session)) => last = session,
            Ok(None) => break,
            Err(error) if error.is_transient() => {}
            Err(error) => return Err(error.into()),
        }
        if last.state.ended_at.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    print(&format!("\n{}", text::footer(&last, options())))
}

/// The latest session of an Incident, as soon as there is one.
async fn begun(source: &Source, namespace: &str, name: &str) -> Result<SessionRecord, AuditCliError> {
    let mut said = false;
    loop {
        match sessions_of(source, namespace, name).await {
            Ok(mut sessions) => {
                if let Some(latest) = sessions.pop() {
                    return Ok(latest);
                }
            }
            Err(AuditCliError::Audit(error)) if said && error.is_transient() => {}
            Err(error) => return Err(error),
        }
        if !said {
            must_exist(source, namespace, name).await?;
            eprintln!("waiting for a session of the Incident {namespace}/{name} to begin (Ctrl-C to stop)");
            said = true;
        }
        tokio::time::sleep(LOOK).await;
    }
}
