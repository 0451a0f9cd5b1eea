//! What stands on the stage: a demo's chapters in their order, which of them is open, its Subject and its Incident. Read
//! from the world each time; nothing is kept.

use std::sync::Arc;

use crds::demo_chapter::{ActionState, ChapterState, DemoChapterStatus};
use crds::{DemoChapter, Incident, IncidentPhase, Subject};
use jiff::Timestamp;

use crate::feed::SubjectKey;
use crate::world::{Named as _, World};

/// A demo as it stands.
#[derive(Clone, Debug)]
pub struct Stage<'a> {
    /// Its chapters, in their order.
    pub chapters: Vec<&'a Arc<DemoChapter>>,
    /// The one that was entered last.
    pub current: Option<usize>,
    /// Its Subject.
    pub subject: Option<SubjectKey>,
    /// The same, as it is.
    pub system: Option<&'a Arc<Subject>>,
    /// The Subject's Incidents since the demo's beginning, the oldest first.
    pub incidents: Vec<&'a Arc<Incident>>,
}

impl<'a> Stage<'a> {
    /// The demo of that name; of several in several namespaces the one that was played last.
    #[must_use]
    pub fn of(world: &'a World, name: &str) -> Self {
        let mut chapters: Vec<&Arc<DemoChapter>> =
            world.chapters.iter().map(|(_, chapter)| chapter).filter(|chapter| chapter.spec.demo == name).collect();
        let newest = chapters
            .iter()
            .max_by_key(|chapter| (entered_at(chapter), std::cmp::Reverse(chapter.space().to_owned())))
            .map(|chapter| chapter.space().to_owned());
        chapters.retain(|chapter| Some(chapter.space()) == newest.as_deref());
        chapters.sort_by_key(|chapter| (chapter.spec.order, chapter.named().to_owned()));
        // For a moment two may call themselves current: the one that was entered last is.
        let current = (0..chapters.len())
            .filter(|index| entered_at(chapters[*index]).is_some())
            .max_by_key(|index| entered_at(chapters[*index]));
        let subject = chapters.first().map(|chapter| SubjectKey {
            namespace: chapter.space().to_owned(),
            name: chapter.spec.subject_ref.name.clone(),
        });
        let began = chapters.iter().filter_map(|chapter| entered_at(chapter)).min();
        let mut incidents: Vec<&Arc<Incident>> = match (&subject, began) {
            (Some(subject), Some(began)) => world
                .incidents
                .iter()
                .map(|(_, incident)| incident)
                .filter(|one| one.space() == subject.namespace && one.spec.subject_ref.name == subject.name)
                // The API server counts whole seconds.
                .filter(|one| created(one).is_some_and(|at| at.as_second() >= began.as_second()))
                .collect(),
            _ => Vec::new(),
        };
        incidents.sort_by_key(|one| (created(one), one.named().to_owned()));
        let system = subject.as_ref().and_then(|key| world.subject(key));
        Self { chapters, current, subject, system, incidents }
    }

    /// The chapter that is open.
    #[must_use]
    pub fn chapter(&self) -> Option<&'a DemoChapter> {
        self.current.and_then(|index| self.chapters.get(index)).map(|chapter| &***chapter)
    }

    /// The newest Incident.
    #[must_use]
    pub fn incident(&self) -> Option<&'a Incident> {
        self.incidents.last().map(|incident| &***incident)
    }

    /// The session of the newest Incident.
    #[must_use]
    pub fn session(&self) -> Option<&'a str> {
        self.incident().and_then(|incident| incident.status.as_ref()?.session_id.as_deref())
    }

    /// Whether it is being brought back to its beginning, or that was asked for.
    #[must_use]
    pub fn is_resetting(&self) -> bool {
        self.chapters
            .iter()
            .any(|chapter| state(chapter) == ChapterState::Resetting || chapter.spec.reset > status(chapter).reset)
    }

    /// Whether nothing of it was entered since its beginning.
    #[must_use]
    pub fn is_at_its_beginning(&self) -> bool {
        !self.is_resetting() && self.chapters.iter().all(|chapter| entered_at(chapter).is_none())
    }

    /// Why the chapter cannot be played, of the first that cannot.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        self.chapters.iter().find_map(|chapter| {
            let conditions = chapter.status.as_ref()?.conditions.iter();
            let accepted =
                conditions.clone().find(|one| one.type_ == "Accepted").filter(|one| one.status == "False")?;
            Some(format!("{}: {}", chapter.named(), accepted.message))
        })
    }

    /// Whether its newest Incident has ended, and not well: a person is needed.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.incidents.last().is_some_and(|one| {
            use IncidentPhase::{Cancelled, Concluded, Escalated, Failed};
            matches!(phase(one), Cancelled | Concluded | Escalated | Failed)
        })
    }

    /// What the demo came to, once its last chapter is complete: whether every Incident of it was resolved.
    ///
    /// # Errors
    /// What was not, in a sentence.
    pub fn verdict(&self) -> Result<(), String> {
        if self.incidents.is_empty() {
            return Err("no Incident was opened".to_owned());
        }
        let bad = self.incidents.iter().find(|one| phase(one) != IncidentPhase::Resolved);
        bad.map_or(Ok(()), |one| Err(format!("{} is {}, not Resolved", one.named(), phase(one).as_str())))
    }
}

/// A chapter's status.
#[must_use]
pub fn status(chapter: &DemoChapter) -> DemoChapterStatus {
    chapter.status.clone().unwrap_or_default()
}

/// A chapter's state.
#[must_use]
pub fn state(chapter: &DemoChapter) -> ChapterState {
    chapter.status.as_ref().map(|status| status.state).unwrap_or_default()
}

/// When a chapter was entered last.
#[must_use]
pub fn entered_at(chapter: &DemoChapter) -> Option<Timestamp> {
    chapter.status.as_ref().and_then(|status| status.entered_at.as_ref()).map(|at| at.0)
}

/// Whether it was asked to be entered, and is not yet.
#[must_use]
pub fn is_asked_for(chapter: &DemoChapter) -> bool {
    chapter.spec.entered > chapter.status.as_ref().map_or(0, |status| status.entered)
}

/// An Incident's phase.
#[must_use]
pub fn phase(incident: &Incident) -> IncidentPhase {
    incident.status.as_ref().map(|status| status.phase).unwrap_or_default()
}

/// A chapter's state in words.
#[must_use]
pub fn words(state: ChapterState) -> &'static str {
    match state {
        ChapterState::Idle => "not entered",
        ChapterState::Countdown => "counting down",
        ChapterState::Acting => "acting",
        ChapterState::Waiting => "waiting",
        ChapterState::Complete => "complete",
        ChapterState::Failed => "FAILED",
        ChapterState::Left => "left",
        ChapterState::Resetting => "resetting",
    }
}

/// An action's state in words.
#[must_use]
pub fn action_words(state: ActionState) -> &'static str {
    match state {
        ActionState::Planned => "to do",
        ActionState::Begun => "doing",
        ActionState::Done => "done",
        ActionState::Failed => "FAILED",
        ActionState::Unknown => "UNKNOWN",
        ActionState::Undone => "taken back",
    }
}

/// What is told, with the model's name in it.
#[must_use]
pub fn narration(chapter: &DemoChapter) -> String {
    let model = chapter.status.as_ref().and_then(|status| status.model.clone());
    chapter.spec.narration.trim().replace("{{model}}", model.as_deref().unwrap_or("the model"))
}

fn created(incident: &Incident) -> Option<Timestamp> {
    incident.metadata.creation_timestamp.as_ref().map(|at| at.0)
}
