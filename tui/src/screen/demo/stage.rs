//! What stands on the stage: a demo's chapters in their order, which of them is open, its Subject and its Incidents. Read
//! from the world each time; nothing is kept.

use std::cmp::Reverse;
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
        let played = |chapter: &&Arc<DemoChapter>| (entered_at(chapter), Reverse(chapter.space().to_owned()));
        let space = chapters.iter().max_by_key(|chapter| played(chapter)).map(|chapter| chapter.space().to_owned());
        chapters.retain(|chapter| Some(chapter.space()) == space.as_deref());
        chapters.sort_by_key(|chapter| (chapter.spec.order, chapter.named().to_owned()));
        // For a moment two may call themselves current: the one that was entered last is.
        let current = (0..chapters.len())
            .filter(|index| entered_at(chapters[*index]).is_some())
            .max_by_key(|index| entered_at(chapters[*index]));
        let subject = chapters.first().map(|chapter| SubjectKey {
            namespace: chapter.space().to_owned(),
            name: chapter.spec.subject_ref.name.clone(),
        });
        let system = subject.as_ref().and_then(|key| world.subject(key));
        let mut stage = Self { chapters, current, subject, system, incidents: Vec::new() };
        stage.incidents = stage.told_of(world);
        stage
    }

    /// The Incidents that belong to this telling of the demo.
    fn told_of(&self, world: &'a World) -> Vec<&'a Arc<Incident>> {
        let began = self.chapters.iter().filter_map(|chapter| entered_at(chapter)).min();
        let (Some(subject), Some(began)) = (&self.subject, began) else { return Vec::new() };
        let gone_back = self.gone_back_at();
        let belongs = |one: &&Arc<Incident>| {
            let Some(at) = created(one) else { return false };
            // What was opened in a part that was gone back over was cancelled then, and is not told again. The API
            // server counts whole seconds.
            let is_old = phase(one) == IncidentPhase::Cancelled && gone_back.is_some_and(|back| at < back);
            at.as_second() >= began.as_second() && !is_old
        };
        let mut incidents: Vec<&Arc<Incident>> = world
            .incidents
            .iter()
            .map(|(_, incident)| incident)
            .filter(|one| one.spec.subject_ref.name == subject.name && one.space() == subject.namespace)
            .filter(belongs)
            .collect();
        incidents.sort_by_key(|one| (created(one), one.named().to_owned()));
        incidents
    }

    /// When it was gone back to the chapter that is open, if it was.
    fn gone_back_at(&self) -> Option<Timestamp> {
        let index = self.current?;
        let at = entered_at(self.chapters.get(index)?)?;
        let later = self.chapters.get(index + 1..).unwrap_or_default();
        later.iter().any(|chapter| entered_at(chapter).is_some()).then_some(at)
    }

    /// The chapter that is open.
    #[must_use]
    pub fn chapter(&self) -> Option<&'a DemoChapter> {
        self.current.and_then(|index| self.chapters.get(index)).map(|chapter| &***chapter)
    }

    /// The chapter of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&'a DemoChapter> {
        self.chapters.iter().find(|chapter| chapter.named() == name).map(|chapter| &***chapter)
    }

    /// The newest Incident.
    #[must_use]
    pub fn incident(&self) -> Option<&'a Incident> {
        self.incidents.last().map(|incident| &***incident)
    }

    /// The session of the newest Incident.
    #[must_use]
    pub fn session(&self) -> Option<&'a str> {
        let status = self.incident()?.status.as_ref()?;
        status.session_id.as_deref().filter(|id| !id.is_empty())
    }

    /// Whether it is being brought back to its beginning, or that was asked for.
    #[must_use]
    pub fn is_resetting(&self) -> bool {
        self.chapters.iter().any(|chapter| state(chapter) == ChapterState::Resetting || is_reset_asked_for(chapter))
    }

    /// Whether it is at its beginning: nothing is entered, and the controller has seen all that was asked for.
    #[must_use]
    pub fn is_at_its_beginning(&self) -> bool {
        let is_idle = |chapter: &DemoChapter| {
            let status = chapter.status.as_ref();
            let seen = status.and_then(|status| status.observed_generation);
            let is_seen = seen.is_none_or(|seen| chapter.metadata.generation.is_none_or(|wanted| seen >= wanted));
            is_seen && state(chapter) == ChapterState::Idle && entered_at(chapter).is_none() && !is_asked_for(chapter)
        };
        !self.is_resetting() && self.chapters.iter().all(|chapter| is_idle(chapter))
    }

    /// The first chapter that no controller has looked at.
    #[must_use]
    pub fn unseen(&self) -> Option<&'a DemoChapter> {
        self.chapters.iter().find(|chapter| chapter.status.is_none()).map(|chapter| &***chapter)
    }

    /// Why a chapter cannot be played, of the first that cannot.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        self.chapters.iter().find_map(|chapter| {
            let conditions = &chapter.status.as_ref()?.conditions;
            let refused = conditions.iter().find(|one| one.type_ == "Accepted" && one.status == "False")?;
            Some(format!("{}: {}", chapter.named(), refused.message))
        })
    }

    /// The faults that are in the system, with their times: done in a chapter before the open one, and not taken back.
    #[must_use]
    pub fn faults_before(&self) -> Vec<(Timestamp, String)> {
        let before = self.chapters.get(..self.current.unwrap_or(0)).unwrap_or_default();
        let faults = before.iter().flat_map(|chapter| {
            let status = chapter.status.iter().flat_map(|status| status.actions.iter().enumerate());
            status.filter(|(index, action)| action.state == ActionState::Done && is_fault(chapter, *index))
        });
        faults.filter_map(|(_, action)| Some((action.at.as_ref()?.0, action.says.clone()))).collect()
    }

    /// When the first fault was begun: what the system does after that is no measure of what it can.
    #[must_use]
    pub fn first_fault(&self) -> Option<Timestamp> {
        self.faults().into_iter().min()
    }

    /// When faults were begun.
    #[must_use]
    pub fn faults(&self) -> Vec<Timestamp> {
        let faults = self.chapters.iter().flat_map(|chapter| {
            let actions = chapter.status.iter().flat_map(|status| status.actions.iter().enumerate());
            actions.filter(|(index, action)| action.state != ActionState::Planned && is_fault(chapter, *index))
        });
        faults.filter_map(|(_, action)| action.at.as_ref().map(|at| at.0)).collect()
    }

    /// What the demo came to, once its last chapter is complete: all were, and each Incident was resolved.
    ///
    /// # Errors
    /// What was not, in a sentence.
    pub fn verdict(&self) -> Result<(), String> {
        let left = self.chapters.iter().find(|chapter| completed_at(chapter).is_none());
        if let Some(left) = left {
            return Err(format!("{} was left before it was complete", left.named()));
        }
        match self.incidents.iter().find(|one| phase(one) != IncidentPhase::Resolved) {
            Some(one) => Err(format!("{} is {}, and not Resolved{}", one.named(), phase(one).as_str(), why(one))),
            None => Ok(()),
        }
    }

    /// The Incident that ended, and not well.
    #[must_use]
    pub fn lost(&self) -> Option<String> {
        let ended = |one: &&&Arc<Incident>| phase(one).is_finished() && phase(one) != IncidentPhase::Resolved;
        let one = self.incidents.iter().find(ended)?;
        Some(format!("{} ended {}{}", one.named(), phase(one).as_str(), why(one)))
    }
}

fn why(incident: &Incident) -> String {
    let message = incident.status.as_ref().and_then(|status| status.message.as_deref()).unwrap_or_default();
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

/// Whether an action of a chapter breaks something: by its verb, or because the chapter counts down to it.
#[must_use]
pub fn is_fault(chapter: &DemoChapter, index: usize) -> bool {
    let Some(action) = chapter.spec.actions.get(index) else { return chapter.spec.countdown.is_some() };
    chapter.spec.countdown.is_some()
        || action.kill.is_some()
        || action.stop.is_some()
        || action.pause.is_some()
        || action.partition.is_some()
        || action.latency.is_some()
        || action.throttle.is_some()
        || action.fill_disk.is_some()
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
    chapter.status.as_ref()?.entered_at.as_ref().map(|at| at.0)
}

/// When a chapter was complete.
#[must_use]
pub fn completed_at(chapter: &DemoChapter) -> Option<Timestamp> {
    chapter.status.as_ref()?.completed_at.as_ref().map(|at| at.0)
}

/// Whether a chapter was asked to be entered, and is not yet.
#[must_use]
pub fn is_asked_for(chapter: &DemoChapter) -> bool {
    chapter.spec.entered > chapter.status.as_ref().map_or(0, |status| status.entered)
}

/// Whether a chapter was asked to be brought back to the beginning, and is not yet.
#[must_use]
pub fn is_reset_asked_for(chapter: &DemoChapter) -> bool {
    chapter.spec.reset > chapter.status.as_ref().map_or(0, |status| status.reset)
}

/// An Incident's phase.
#[must_use]
pub fn phase(incident: &Incident) -> IncidentPhase {
    incident.status.as_ref().map(|status| status.phase).unwrap_or_default()
}

/// What is told, with the model's name in it.
#[must_use]
pub fn narration(chapter: &DemoChapter) -> String {
    let model = chapter.status.as_ref().and_then(|status| status.model.as_deref());
    chapter.spec.narration.trim().replace("{{model}}", model.unwrap_or("the model"))
}

/// When an Incident was created.
#[must_use]
pub fn created(incident: &Incident) -> Option<Timestamp> {
    incident.metadata.creation_timestamp.as_ref().map(|at| at.0)
}
