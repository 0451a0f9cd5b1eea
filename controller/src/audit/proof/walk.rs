//! From a reader's pages to one stream of records.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::stream::{self, Stream};
use jiff::tz::TimeZone;

use super::row::{ProofReader, Record, Scope, SessionRow};
use crate::audit::AuditError;
use crate::session::SessionId;

struct Walk {
    reader: Arc<dyn ProofReader>,
    scope: Scope,
    ready: VecDeque<Record>,
    last_link: i64,
    sessions: VecDeque<SessionRow>,
    last_session: String,
    step: Step,
}

enum Step {
    Keys,
    Links,
    /// The next page of sessions; their links are read after it, and told before it.
    Sessions,
    /// The entries of this session after that number.
    Entries(SessionId, i64),
    Over,
}

pub(super) fn walk(
    reader: Arc<dyn ProofReader>,
    scope: Scope,
) -> impl Stream<Item = Result<Record, AuditError>> + Send {
    let walk = Walk {
        reader,
        scope,
        ready: VecDeque::new(),
        last_link: 0,
        sessions: VecDeque::new(),
        last_session: String::new(),
        step: Step::Keys,
    };
    stream::unfold(walk, |mut walk| async move {
        match walk.next().await {
            Ok(Some(record)) => Some((Ok(record), walk)),
            Ok(None) => None,
            Err(error) => {
                walk.step = Step::Over;
                walk.ready.clear();
                Some((Err(error), walk))
            }
        }
    })
}

impl Walk {
    async fn next(&mut self) -> Result<Option<Record>, AuditError> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Ok(Some(record));
            }
            match &self.step {
                Step::Keys => {
                    self.ready.extend(self.reader.keys().await?.into_iter().map(Record::Key));
                    self.step = Step::Links;
                }
                Step::Links => {
                    self.links().await?;
                    if self.ready.is_empty() {
                        self.step = Step::Sessions;
                    }
                }
                Step::Sessions => self.next_session().await?,
                Step::Entries(session, after) => {
                    let page = self.reader.entry_rows(session, *after).await?;
                    match page.last() {
                        Some(last) => self.step = Step::Entries(session.clone(), last.seq),
                        None => self.step = Step::Sessions,
                    }
                    self.ready.extend(page.into_iter().map(Record::Entry));
                }
                Step::Over => return Ok(None),
            }
        }
    }

    /// One page of links.
    async fn links(&mut self) -> Result<(), AuditError> {
        let page = self.reader.links(self.last_link).await?;
        if let Some(last) = page.last() {
            // A reader that does not move on would be asked for ever.
            if last.n <= self.last_link {
                return Err(AuditError::Refused("the links come in no order".into()));
            }
            self.last_link = last.n;
        }
        self.ready.extend(page.into_iter().map(Record::Link));
        Ok(())
    }

    async fn next_session(&mut self) -> Result<(), AuditError> {
        if let Some(session) = self.sessions.pop_front() {
            self.step = Step::Entries(session.id.clone(), 0);
            self.ready.push_back(Record::Session(session));
            return Ok(());
        }
        let page = self.reader.session_rows(&self.last_session).await?;
        match page.last() {
            Some(last) => self.last_session = last.id.to_string(),
            None => self.step = Step::Over,
        }
        self.sessions.extend(page.into_iter().filter(|session| wanted(&self.scope, &session.id)));
        // What began or ended meanwhile.
        loop {
            let before = self.last_link;
            self.links().await?;
            if self.last_link == before {
                return Ok(());
            }
        }
    }
}

fn wanted(scope: &Scope, id: &SessionId) -> bool {
    match scope {
        Scope::All => true,
        Scope::Sessions(ids) => ids.contains(id),
        // A session's name begins with its start, in UTC.
        Scope::Since(at) => {
            let start = at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H-%M-%S").to_string();
            id.as_str() >= start.as_str()
        }
    }
}
