//! What is kept of what came, for the screen and for the log: the monitor's log, the session, the gauge, and what is
//! followed for them.

use audit_client::observations::Observations;
use crds::Incident;
use jiff::Timestamp;

use super::agent::Story;
use super::log::{Line, Log};
use super::stage::Stage;
use super::workload::Gauge;
use crate::feed::{FeedEvent, Request, SubjectKey};

/// It.
#[derive(Clone, Debug, Default)]
pub struct Show {
    /// What the monitor saw.
    pub log: Log,
    /// What the agent does.
    pub story: Story,
    /// How much the system does.
    pub gauge: Gauge,
    /// What the monitor reads, and when it came.
    pub known: Option<(Timestamp, Observations)>,
    observed: Option<SubjectKey>,
    at_beginning: bool,
}

impl Show {
    /// Something came.
    pub fn feed(&mut self, event: &FeedEvent, now: Timestamp) {
        match event {
            FeedEvent::Entries { session, entries, .. } if *session == self.story.session => self.story.take(entries),
            FeedEvent::Observations { subject, document } if Some(subject) == self.observed.as_ref() => {
                // What another version of Operator sends is passed over.
                if let Ok(known) = serde_json::from_value::<Observations>(document.clone()) {
                    self.gauge.take(known.display.workload.as_ref(), known.at);
                    self.known = Some((now, known));
                }
            }
            _ => {}
        }
    }

    /// Whether an Incident is of the Subject that is looked at.
    #[must_use]
    pub fn is_about(&self, incident: &Incident) -> bool {
        self.observed.as_ref().is_some_and(|subject| subject.name == incident.spec.subject_ref.name)
    }

    /// Brings all up to date. Answers the log's new lines, and what is to be followed.
    pub fn settle(&mut self, stage: &Stage, now: Timestamp) -> (Vec<Line>, Vec<Request>) {
        let requests = self.follow(stage);
        let at_beginning = stage.is_at_its_beginning();
        if at_beginning && !self.at_beginning {
            self.log.clear();
            self.gauge.restart();
        }
        self.at_beginning = at_beginning;
        self.gauge.settle(stage.first_fault());
        (self.log.see(stage, now), requests)
    }

    fn follow(&mut self, stage: &Stage) -> Vec<Request> {
        let mut requests = Vec::new();
        if self.observed != stage.subject {
            requests.extend(self.observed.take().map(|subject| Request::Unobserve { subject }));
            requests.extend(stage.subject.clone().map(|subject| Request::Observe { subject }));
            self.observed.clone_from(&stage.subject);
            (self.known, self.gauge) = (None, Gauge::default());
        }
        let session = stage.session().unwrap_or_default();
        if self.story.session != session {
            requests.extend(self.unfollow());
            self.story = Story::of(session);
            requests.extend(self.again());
        }
        requests
    }

    /// Follows the session from where it is known: another screen may have ended that.
    #[must_use]
    pub fn again(&self) -> Option<Request> {
        let session = self.story.session.clone();
        (!session.is_empty()).then_some(Request::Follow { session, after: self.story.seq })
    }

    fn unfollow(&self) -> Option<Request> {
        let session = self.story.session.clone();
        (!session.is_empty()).then_some(Request::Unfollow { session })
    }

    /// Lets go of all that is followed.
    pub fn end(&mut self) -> Vec<Request> {
        let mut requests: Vec<Request> = self.unfollow().into_iter().collect();
        requests.extend(self.observed.take().map(|subject| Request::Unobserve { subject }));
        self.story = Story::default();
        requests
    }
}
