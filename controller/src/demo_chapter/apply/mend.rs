//! What stands still is started: the part of a reset that no chapter has to say.

use crds::fault::{Action, On, Target, UndoWhen};

use super::{After, Hands, Notes, Stand, trouble};
use crate::demo_chapter::plan::Wanted;
use crate::demo_chapter::record::{Act, ActId};
use crate::fault::Plan;
use crate::fault::view::State;

/// Places of what is started at a reset, behind those of what chapters say is restored.
const MENDING: usize = 1000;
/// How often one service is started at a reset.
const MOST_STARTS: usize = 2;

impl Hands {
    /// Starts the first container of the project that stands still.
    pub(super) async fn mend(&self, turn: i64, stand: Stand<'_>, notes: &mut Notes) -> Result<After, After> {
        let Some(of) = stand.record.turns.iter().find(|one| one.id == turn) else { return Ok(After::Next) };
        let view = self.faults.look(&of.new.project).await.map_err(|error| trouble(&error))?;
        let started: Vec<&Act> = stand.record.acts_of(turn).filter(|act| act.new.id.index >= MENDING).collect();
        let tries = |service: &str| {
            let aims = |act: &&&Act| {
                act.new.plan.as_ref().is_some_and(|plan| plan.targets.iter().any(|target| target.service == service))
            };
            started.iter().filter(aims).count()
        };
        let still = view.containers.iter().find(|one| one.state != State::Running && tries(&one.service) < MOST_STARTS);
        let Some(container) = still else {
            notes.memory.looked = Some((turn, self.world.now()));
            return Ok(After::Next);
        };
        let on = On { target: Target { service: Some(container.service.clone()), ..Target::default() } };
        let action = if container.state == State::Paused {
            Action { unpause: Some(on), ..Action::default() }
        } else {
            Action { start: Some(on), ..Action::default() }
        };
        let index = MENDING + started.len();
        let id = ActId { turn, chapter: of.new.chapter.clone(), restore: true, index };
        let wanted =
            Wanted { id, chapter_uid: of.new.chapter_uid.clone(), number: turn, action, undo_when: UndoWhen::Reset };
        match crate::fault::plan(&wanted.action, &view, &crate::cel::map([]), 0) {
            Ok(plan) => {
                let act = self.new_act(&wanted, plan.says.clone(), Some(Plan { undo: None, ..plan }), None, stand)?;
                if self.store.begin_act(&act).await? {
                    return self.carry_out(&act, stand).await;
                }
            }
            Err(_) => notes.memory.looked = Some((turn, self.world.now())),
        }
        Ok(After::Next)
    }
}
