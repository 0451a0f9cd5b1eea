//! The task of one demo: sees, decides, does one step, and says how its chapters stand; again and again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::demo_chapter::{ChapterState, DemoChapterStatus};
use kube::ResourceExt;
use tokio::sync::{Notify, watch};

use super::apply::{After, Hands, Notes, Stand};
use super::plan::{Known, SOON, Step, plan};
use super::record::{DemoRef, Record, TurnKind};
use super::status::{Facts, is_news, status};
use super::world::Seen;
use crate::fault::Verb;
use crate::status::{Urgency, Written};

/// After trouble.
const AGAIN: Duration = Duration::from_secs(2);

/// So long after it was written a status is taken to stand there, whatever the cache says.
const CACHED: Duration = Duration::from_secs(5);

/// The task of one demo.
pub struct Player {
    demo: DemoRef,
    hands: Hands,
    /// Somebody changed something.
    woken: Arc<Notify>,
    /// Whether nothing is left of the demo.
    gone: watch::Sender<bool>,
    notes: Notes,
    record: Option<Record>,
    says: Option<String>,
    /// What was written last of each chapter, by UID, and when: the cache may not have it yet.
    written: HashMap<String, (DemoChapterStatus, Instant)>,
}

impl Player {
    /// A task that is woken by `woken`, and says when nothing is left.
    #[must_use]
    pub fn new(demo: DemoRef, hands: Hands, woken: Arc<Notify>, gone: watch::Sender<bool>) -> Self {
        Self { demo, hands, woken, gone, notes: Notes::default(), record: None, says: None, written: HashMap::new() }
    }

    /// Plays until nothing is left of the demo, or dropped. Dropped, it leaves all where it stands.
    pub async fn run(mut self) {
        loop {
            let after = self.once().await;
            let pause = match after {
                After::Next => {
                    self.says = None;
                    continue;
                }
                // Chapters may have come meanwhile.
                After::Gone if !self.hands.world.see(&self.demo).chapters.is_empty() => continue,
                After::Gone => {
                    self.gone.send_replace(true);
                    return;
                }
                After::Rest(pause, says) => {
                    self.says = says;
                    pause
                }
                After::Trouble(why) => {
                    if self.says.as_ref() != Some(&why) {
                        tracing::warn!(demo = %self.demo, why, "a demo does not go on; trying again");
                    }
                    self.says = Some(format!("{why}; trying again"));
                    AGAIN
                }
            };
            // What rests says so.
            let pause = self.show().await.unwrap_or(pause).min(pause);
            tokio::select! {
                () = self.woken.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One step. Public for tests, which end it wherever they want.
    pub async fn once(&mut self) -> After {
        let seen = self.hands.world.see(&self.demo);
        let record = match self.record.take() {
            Some(record) => record,
            None => match self.hands.store.record(&self.demo).await {
                Ok(record) => record,
                Err(error) => return After::Trouble(crate::error::chain(&error)),
            },
        };
        let step = decide(&self.demo, &seen, &record, &self.notes, &self.hands);
        let is_still = matches!(step, Step::Rest(..) | Step::Judge(..) | Step::Gone | Step::Advance(_));
        tracing::debug!(demo = %self.demo, ?step, "step");
        if !is_still {
            // What is about to be done is seen while it is done.
            self.write(&seen, &record).await;
        }
        if let Step::Turn(turn) = &step {
            self.announce(&seen, turn).await;
        }
        let stand = Stand { demo: &self.demo, seen: &seen, record: &record };
        let after = {
            let patient = is_patient(&step, &record);
            let act = self.hands.apply(step, stand, &mut self.notes);
            tokio::select! {
                after = act => after,
                () = interrupted(&self.demo, &self.hands, &self.woken, &record), if !patient => After::Next,
            }
        };
        if is_still && after != After::Next {
            self.record = Some(record);
        }
        after
    }

    /// What is in its way, for tests that step.
    #[cfg(test)]
    pub(super) fn says(&mut self, says: Option<String>) {
        self.says = says;
    }

    /// Says how all chapters stand; after which time the rest of it can be said.
    pub async fn show(&mut self) -> Option<Duration> {
        let record = match self.record.take() {
            Some(record) => record,
            None => self.hands.store.record(&self.demo).await.ok()?,
        };
        let seen = self.hands.world.see(&self.demo);
        let later = self.write(&seen, &record).await;
        self.record = Some(record);
        later
    }

    async fn write(&mut self, seen: &Seen, record: &Record) -> Option<Duration> {
        let current = record.current().map(|turn| turn.id);
        let unknown = self.notes.unknown.as_ref().filter(|(turn, _)| Some(*turn) == current);
        let facts = Facts {
            record,
            model: &seen.model,
            says: self.says.as_deref(),
            unknown: unknown.map(|(_, why)| why.as_str()),
            now: self.hands.world.now(),
        };
        let mut later = None;
        for chapter in &seen.chapters {
            let new = status(chapter, &facts);
            let recent = self.written.get(&chapter.uid()).filter(|(_, at)| at.elapsed() < CACHED);
            let old = recent.map(|(status, _)| status).or(chapter.object.status.as_ref()).cloned();
            if old.as_ref() == Some(&new) {
                continue;
            }
            let urgency = if is_news(old.as_ref(), &new) { Urgency::Now } else { Urgency::Progress };
            match self.hands.world.write(&chapter.object, &new, urgency).await {
                Ok(Written::Yes) => {
                    self.written.insert(chapter.uid(), (new.clone(), Instant::now()));
                    let was = old.map(|old| old.state);
                    self.tell(chapter, was, new.state, new.message.as_deref()).await;
                }
                Ok(Written::Later(wait)) => later = Some(later.map_or(wait, |least: Duration| least.min(wait))),
                Ok(Written::Gone) => {}
                Err(why) => {
                    tracing::warn!(chapter = chapter.object.name_any(), why, "the status could not be written");
                    later = Some(AGAIN);
                }
            }
        }
        later
    }

    async fn tell(
        &self,
        chapter: &super::validate::Chapter,
        was: Option<ChapterState>,
        is: ChapterState,
        message: Option<&str>,
    ) {
        if was == Some(is) {
            return;
        }
        let world = &self.hands.world;
        match is {
            ChapterState::Complete => {
                let note = message.unwrap_or("what it waits for has come");
                world.tell(&chapter.object, true, "ChapterComplete", note).await;
            }
            ChapterState::Failed => {
                let note = message.unwrap_or("an action failed");
                world.tell(&chapter.object, false, "ChapterFailed", note).await;
            }
            ChapterState::Idle if was == Some(ChapterState::Resetting) => {
                world.tell(&chapter.object, true, "DemoReset", "the demo is at its beginning").await;
            }
            _ => {}
        }
    }

    async fn announce(&self, seen: &Seen, turn: &super::record::NewTurn) {
        let Some(chapter) = seen.chapters.iter().find(|chapter| chapter.uid() == turn.chapter_uid) else { return };
        let world = &self.hands.world;
        match turn.kind {
            TurnKind::Enter if !turn.superseded => {
                world.tell(&chapter.object, true, "ChapterEntered", &chapter.object.spec.title).await;
            }
            TurnKind::Reset => {
                world.tell(&chapter.object, true, "ResetBegun", "the demo goes back to its beginning").await;
            }
            _ => {}
        }
    }
}

fn decide(demo: &DemoRef, seen: &Seen, record: &Record, notes: &Notes, hands: &Hands) -> Step {
    plan(&Known {
        demo,
        chapters: &seen.chapters,
        scene: &seen.scene,
        record,
        incidents: &seen.incidents,
        healthy: seen.healthy(),
        halted: seen.halted,
        memory: &notes.memory,
        now: hands.world.now(),
    })
}

/// Whether a step is done to its end whatever is asked for meanwhile. A helper can be let go; a call of the engine that
/// is half done could come to its end after it was taken back.
fn is_patient(step: &Step, record: &Record) -> bool {
    match step {
        Step::Act(wanted) => {
            let action = &wanted.action;
            action.exec.is_none() && action.http.is_none() && action.run.is_none()
        }
        Step::Settle(id) => {
            let plan = record.act(id).and_then(|act| act.new.plan.as_ref());
            !plan.is_some_and(|plan| matches!(plan.verb, Verb::Exec(_) | Verb::Http { .. } | Verb::Run { .. }))
        }
        _ => true,
    }
}

/// Waits until another turn is asked for, or the demo's chapters go.
async fn interrupted(demo: &DemoRef, hands: &Hands, woken: &Notify, record: &Record) {
    loop {
        // Looked at now and then as well: the waking may have come before.
        tokio::select! {
            () = woken.notified() => {}
            () = tokio::time::sleep(SOON) => {}
        }
        let seen = hands.world.see(demo);
        let asked = decide(demo, &seen, record, &Notes::default(), hands);
        if matches!(asked, Step::Turn(_)) || seen.chapters.is_empty() {
            return;
        }
    }
}
