//! A record in memory, for tests. Clones are the same one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use crds::demo_chapter::ActionState;
use jiff::Timestamp;

use super::DemoStore;
use crate::audit::AuditError;
use crate::demo_chapter::record::{
    Act, ActId, DemoRef, How, NewAct, NewTurn, Record, Turn, TurnEnd, TurnKind, UndoTry,
};
use crate::fault::Key;

/// Keeps everything in memory.
#[derive(Clone, Debug, Default)]
pub struct FakeDemoStore(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    turns: Vec<Turn>,
    acts: Vec<Act>,
    away: bool,
}

impl FakeDemoStore {
    /// The store goes, or comes back.
    pub fn away(&self, away: bool) {
        self.lock().away = away;
    }

    /// All that was ever done, as it stands.
    #[must_use]
    pub fn acts(&self) -> Vec<Act> {
        self.lock().acts.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn there(&self) -> Result<MutexGuard<'_, State>, AuditError> {
        let state = self.lock();
        if state.away {
            return Err(AuditError::Unavailable { reason: "it is told to be".into() });
        }
        Ok(state)
    }
}

impl State {
    fn act(&mut self, id: &ActId) -> Option<&mut Act> {
        self.acts.iter_mut().find(|act| act.new.id == *id)
    }
}

#[async_trait]
impl DemoStore for FakeDemoStore {
    async fn record(&self, demo: &DemoRef) -> Result<Record, AuditError> {
        let state = self.there()?;
        let all: Vec<&Turn> = state.turns.iter().filter(|turn| turn.new.demo == *demo).collect();
        let over = |turn: &&Turn| turn.new.kind != TurnKind::Enter && turn.end.is_some();
        let begin = all.iter().rposition(over).unwrap_or(0);
        let turns: Vec<Turn> = all.iter().skip(begin).map(|turn| (*turn).clone()).collect();
        let ids: BTreeSet<i64> = all.iter().map(|turn| turn.id).collect();
        let recent: BTreeSet<i64> = turns.iter().map(|turn| turn.id).collect();
        let acts = state
            .acts
            .iter()
            .filter(|act| recent.contains(&act.new.id.turn) || (ids.contains(&act.new.id.turn) && act.is_live()));
        let mut record = Record { acts: acts.cloned().collect(), turns, ..Record::default() };
        for turn in all {
            let number = record.numbers.entry((turn.new.chapter_uid.clone(), turn.new.kind)).or_default();
            *number = turn.new.number.max(*number);
        }
        Ok(record)
    }

    async fn live(&self) -> Result<Vec<DemoRef>, AuditError> {
        let demos: BTreeSet<DemoRef> = self.there()?.turns.iter().map(|turn| turn.new.demo.clone()).collect();
        let mut live = Vec::new();
        for demo in demos {
            if self.record(&demo).await?.is_live() {
                live.push(demo);
            }
        }
        Ok(live)
    }

    async fn kept(&self, project: &str) -> Result<Vec<Key>, AuditError> {
        let state = self.there()?;
        let live = state.acts.iter().filter(|act| act.is_live() && act.new.key.project == project);
        Ok(live.map(|act| act.new.key.clone()).collect())
    }

    async fn begin_turn(&self, new: &NewTurn) -> Result<i64, AuditError> {
        let mut state = self.there()?;
        let same = |turn: &&Turn| {
            (&turn.new.chapter_uid, turn.new.kind, turn.new.number) == (&new.chapter_uid, new.kind, new.number)
        };
        if let Some(turn) = state.turns.iter().find(same) {
            return Ok(turn.id);
        }
        let id = i64::try_from(state.turns.len()).unwrap_or(i64::MAX) + 1;
        let end = new.superseded.then_some(TurnEnd { how: How::Superseded, at: new.at, message: None });
        state.turns.push(Turn { id, new: new.clone(), end });
        Ok(id)
    }

    async fn end_turn(&self, turn: i64, how: How, message: Option<&str>, at: Timestamp) -> Result<(), AuditError> {
        let mut state = self.there()?;
        if let Some(turn) = state.turns.iter_mut().find(|one| one.id == turn && one.end.is_none()) {
            turn.end = Some(TurnEnd { how, at, message: message.map(str::to_owned) });
        }
        Ok(())
    }

    async fn begin_act(&self, new: &NewAct) -> Result<bool, AuditError> {
        let mut state = self.there()?;
        if state.act(&new.id).is_some() {
            return Ok(false);
        }
        let stands = if new.failed.is_some() { ActionState::Failed } else { ActionState::Begun };
        state.acts.push(Act { state: stands, message: new.failed.clone(), undo: None, new: new.clone() });
        Ok(true)
    }

    async fn end_act(
        &self,
        id: &ActId,
        stands: ActionState,
        message: Option<&str>,
        _: Timestamp,
    ) -> Result<(), AuditError> {
        let mut state = self.there()?;
        if let Some(act) = state.act(id).filter(|act| act.state == ActionState::Begun) {
            (act.state, act.message) = (stands, message.map(str::to_owned));
        }
        Ok(())
    }

    async fn begin_undo(&self, id: &ActId, turn: i64, _: Timestamp) -> Result<(), AuditError> {
        let mut state = self.there()?;
        if let Some(act) = state.act(id) {
            act.undo = Some(UndoTry { turn, over: false, error: None });
        }
        Ok(())
    }

    async fn end_undo(&self, id: &ActId, error: Option<&str>, _: Timestamp) -> Result<(), AuditError> {
        let mut state = self.there()?;
        if let Some(undo) = state.act(id).and_then(|act| act.undo.as_mut()) {
            (undo.over, undo.error) = (true, error.map(str::to_owned));
        }
        Ok(())
    }
}
