//! The way back to the beginning, and the end of a demo whose chapters are gone. Pure.

use crds::demo_chapter::ActionState;
use jiff::SignedDuration;
use kube::ResourceExt;

use super::{Known, SOON, Step, failed, take_back, wanted};
use crate::demo_chapter::record::{Act, ActId, DemoRef, How, NewTurn, Turn, TurnKind};

/// How often the project is looked at while it is waited for that it is well.
const LOOK: SignedDuration = SignedDuration::from_secs(2);
/// How long a reset waits for the Subject to be well, and for its Incidents to go.
const PATIENCE: SignedDuration = SignedDuration::from_secs(180);

/// Carries out a reset: the demo's Incidents end, what stands still is started, all that was done is taken back, what the
/// chapters say is restored, helpers go, and the Subject is waited for to be well.
pub(super) fn reset(known: &Known<'_>, turn: &Turn) -> Step {
    if let Some(earlier) = known.record.waits_for(turn) {
        return Step::End(earlier.id, How::Done, None);
    }
    let began = known.record.began();
    let is_own = |created: jiff::Timestamp| began.is_some_and(|began| created >= began);
    if let Some(step) = known.end_incident(turn, is_own) {
        return step;
    }
    let looked = known.memory.looked.filter(|(of, _)| *of == turn.id).map(|(_, at)| known.now.duration_since(at));
    // What is not known any more can be looked at no more.
    let is_known = !turn.new.project.is_empty();
    if is_known {
        if let Some(begun) = mending(known, turn).find(|act| act.state == ActionState::Begun) {
            return Step::Settle(begun.new.id.clone());
        }
        // Before anything is taken back: a command that does so needs somebody to talk to.
        if looked.is_none() {
            return Step::Mend(turn.id);
        }
    }
    if let Some(step) = take_back(known) {
        return step;
    }
    if !is_known {
        return over(known, turn);
    }
    if let Some(step) = restore(known, turn) {
        return step;
    }
    if !known.memory.is_swept {
        return Step::Sweep;
    }
    let patience = known.is_within(turn, PATIENCE);
    if known.healthy == Some(false) && patience {
        if looked.is_some_and(|ago| ago >= LOOK) {
            return Step::Mend(turn.id);
        }
        return Step::Rest(SOON, Some(format!("waiting for {} to be well", turn.new.subject)));
    }
    match known.clear_incident(is_own) {
        Some(step) if patience || matches!(step, Step::Delete(_)) => step,
        _ => over(known, turn),
    }
}

/// What the chapters say is to be done at a reset, in their order. One that fails does not keep the others.
fn restore(known: &Known<'_>, turn: &Turn) -> Option<Step> {
    for chapter in known.chapters {
        for (index, action) in chapter.object.spec.restore.iter().enumerate() {
            let id = ActId { turn: turn.id, chapter: chapter.object.name_any(), restore: true, index };
            match known.record.act(&id) {
                // The turn's own number, and not that of the spec: another chapter's reset may have the same.
                None => return Some(Step::Act(Box::new(wanted(id, chapter, turn.id, action)))),
                Some(act) if act.state == ActionState::Begun => return Some(Step::Settle(id)),
                Some(_) => {}
            }
        }
    }
    None
}

fn mending<'a>(known: &Known<'a>, turn: &'a Turn) -> impl Iterator<Item = &'a Act> {
    known.record.acts_of(turn.id).filter(|act| act.new.id.restore)
}

/// It is over, and says what did not work.
fn over(known: &Known<'_>, turn: &Turn) -> Step {
    let wrong: Vec<String> = mending(known, turn).filter(|act| act.state == ActionState::Failed).map(failed).collect();
    let undone = known.record.acts.iter().filter_map(|act| {
        let error = act.undo.as_ref().filter(|undo| undo.turn >= turn.id)?.error.as_ref()?;
        Some(format!("{} could not be taken back: {error}", act.new.says))
    });
    let wrong: Vec<String> = undone.chain(wrong).collect();
    Step::End(turn.id, How::Done, (!wrong.is_empty()).then(|| wrong.join("; ")))
}

/// A demo without chapters: all that was done is taken back.
pub(super) fn end(known: &Known<'_>) -> Step {
    let Some(turn) = known.record.going_back() else {
        return match known.record.newest() {
            Some(newest) if known.record.is_live() => Step::Turn(Box::new(last(known, &newest.new))),
            _ => Step::Gone,
        };
    };
    if let Some(earlier) = known.record.waits_for(turn) {
        return Step::End(earlier.id, How::Done, None);
    }
    if let Some(step) = take_back(known) {
        return step;
    }
    if !known.memory.is_swept {
        return Step::Sweep;
    }
    over(known, turn)
}

fn last(known: &Known<'_>, newest: &NewTurn) -> NewTurn {
    let DemoRef { namespace, demo } = known.demo;
    let at = known.next_second();
    NewTurn {
        kind: TurnKind::End,
        chapter: String::new(),
        chapter_uid: format!("{namespace}/{demo}"),
        number: known.record.number(&format!("{namespace}/{demo}"), TurnKind::End) + 1,
        place: 0,
        raised_at: at,
        at,
        acts_at: at,
        superseded: false,
        ..newest.clone()
    }
}
