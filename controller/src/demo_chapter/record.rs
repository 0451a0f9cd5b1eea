//! What is on record of a demo: the turns that were taken, and each thing that was done. What follows from it, pure.
//!
//! Nothing else is asked when a controller goes on with a demo: which chapter is the current one, what is still to be
//! taken back, since when an Incident counts as the demo's.

mod rows;

use std::collections::BTreeMap;

use crds::demo_chapter::ActionState;
use crds::fault::UndoWhen;
use jiff::Timestamp;

pub use rows::{Act, ActId, DemoRef, How, NewAct, NewTurn, Turn, TurnEnd, TurnKind, UndoTry};

/// What is on record of a demo: the turns since the last reset, and all that was done in them or is still to be taken
/// back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The turns, in order.
    pub turns: Vec<Turn>,
    /// What was done, in the order in which it was begun.
    pub acts: Vec<Act>,
    /// The highest number of each chapter's (by UID) turns, whenever they were.
    pub numbers: BTreeMap<(String, TurnKind), i64>,
}

impl Record {
    /// The highest number on record; 0 if there is none.
    #[must_use]
    pub fn number(&self, chapter_uid: &str, kind: TurnKind) -> i64 {
        self.numbers.get(&(chapter_uid.to_owned(), kind)).copied().unwrap_or(0)
    }

    /// The reset or end that is under way: the newest, should there be several.
    #[must_use]
    pub fn going_back(&self) -> Option<&Turn> {
        self.turns.iter().rev().find(|turn| turn.new.kind != TurnKind::Enter && turn.end.is_none())
    }

    /// An earlier reset that is not over: this one carries it out, too.
    #[must_use]
    pub fn waits_for(&self, turn: &Turn) -> Option<&Turn> {
        let mut open = self.turns.iter().filter(|one| one.new.kind != TurnKind::Enter && one.end.is_none());
        open.find(|one| one.id < turn.id)
    }

    /// The turns into chapters since the demo was last at its beginning.
    #[must_use]
    pub fn entered(&self) -> impl DoubleEndedIterator<Item = &Turn> {
        let begin = self.turns.iter().rposition(|turn| turn.new.kind != TurnKind::Enter).map_or(0, |place| place + 1);
        self.turns.iter().skip(begin).filter(|turn| !turn.is_superseded())
    }

    /// The current chapter's turn.
    #[must_use]
    pub fn current(&self) -> Option<&Turn> {
        self.entered().next_back()
    }

    /// The newest turn of all.
    #[must_use]
    pub fn newest(&self) -> Option<&Turn> {
        self.turns.last()
    }

    /// What was done in a turn.
    pub fn acts_of(&self, turn: i64) -> impl Iterator<Item = &Act> {
        self.acts.iter().filter(move |act| act.new.id.turn == turn)
    }

    /// One of these.
    #[must_use]
    pub fn act(&self, id: &ActId) -> Option<&Act> {
        self.acts.iter().find(|act| act.new.id == *id)
    }

    /// What is to be taken back next, and for which turn: the last that was done is the first that is taken back.
    #[must_use]
    pub fn to_undo(&self) -> Option<(&Act, i64)> {
        let wanted = self.acts.iter().filter_map(|act| Some((act, self.wants_undo(act)?)));
        wanted.max_by_key(|(act, _)| (act.new.id.turn, act.new.id.index))
    }

    /// The turn for which it has to be taken back.
    #[must_use]
    pub fn wants_undo(&self, act: &Act) -> Option<i64> {
        if !act.can_be_undone() {
            return None;
        }
        let own = self.turns.iter().find(|turn| turn.id == act.new.id.turn);
        let later = self.turns.iter().filter(|turn| turn.id > act.new.id.turn && !turn.is_superseded());
        let asks = |turn: &&Turn| match (turn.new.kind, own) {
            (TurnKind::Reset | TurnKind::End, _) | (_, None) => true,
            (TurnKind::Enter, Some(own)) => {
                let back = turn.new.place <= own.new.place;
                let leave = turn.new.chapter_uid != own.new.chapter_uid;
                match act.new.undo_when {
                    UndoWhen::Back => back,
                    UndoWhen::Leave => back || leave,
                    UndoWhen::Reset => false,
                }
            }
        };
        let asks = later.filter(asks).map(|turn| turn.id).next_back()?;
        // What could not be taken back for that turn is not tried again for it.
        let tried = act.undo.as_ref().is_some_and(|undo| undo.over && undo.turn >= asks);
        (!tried).then_some(asks)
    }

    /// What was begun for a turn that is not the current one any more, and is not to be taken back: it is cut off.
    #[must_use]
    pub fn cut_off(&self) -> Option<&Act> {
        let now = self.going_back().or_else(|| self.current()).map(|turn| turn.id);
        self.acts.iter().find(|act| {
            act.state == ActionState::Begun
                && Some(act.new.id.turn) != now
                && !act.is_undone()
                && self.wants_undo(act).is_none()
        })
    }

    /// Whether an Incident of the Subject that was created then is the demo's: since it left its beginning, and not in a
    /// part of it that was gone back over.
    #[must_use]
    pub fn counts(&self, created: Timestamp) -> bool {
        let (begin, gaps) = self.told();
        begin.is_some_and(|begin| created >= begin) && !gaps.iter().any(|(from, to)| created >= *from && created < *to)
    }

    /// Whether it was created in a part that was gone back over.
    #[must_use]
    pub fn was_gone_back_over(&self, created: Timestamp) -> bool {
        self.told().1.iter().any(|(from, to)| created >= *from && created < *to)
    }

    /// When the demo left its beginning; nothing if it is there. A reset that is not over changes nothing in that.
    #[must_use]
    pub fn began(&self) -> Option<Timestamp> {
        let over = |turn: &Turn| turn.new.kind != TurnKind::Enter && turn.end.is_some();
        let begin = self.turns.iter().rposition(over).map_or(0, |place| place + 1);
        let mut since = self.turns.iter().skip(begin);
        since.find(|turn| turn.new.kind == TurnKind::Enter && !turn.is_superseded()).map(|turn| turn.new.at)
    }

    /// When the demo left its beginning, and the times that were gone back over.
    fn told(&self) -> (Option<Timestamp>, Vec<(Timestamp, Timestamp)>) {
        let mut open: Vec<(i64, Timestamp)> = Vec::new();
        let (mut begin, mut gaps) = (None, Vec::new());
        for turn in self.entered() {
            begin.get_or_insert(turn.new.at);
            let undone = open.iter().position(|(place, _)| *place >= turn.new.place);
            if let Some((_, from)) = undone.and_then(|undone| open.drain(undone..).next()) {
                gaps.push((from, turn.new.at));
            }
            open.push((turn.new.place, turn.new.at));
        }
        (begin, gaps)
    }

    /// Whether the demo is not at its beginning.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.going_back().is_some() || self.current().is_some()
    }
}
