//! Where each step stands: heights, which are measured once, and their sums.

use std::collections::{HashMap, HashSet};

use super::rows::{self, Canvas, Shown};
use super::step::{self, Step};
use super::transcript::Transcript;

/// Which steps are open. What nobody touched follows the rule of its kind.
#[derive(Clone, Debug, Default)]
pub struct Folds {
    opened: HashSet<i64>,
    folded: HashSet<i64>,
    /// All are open, or folded, unless somebody touched them since.
    all: Option<bool>,
    version: u64,
}

impl Folds {
    /// Whether a step is open, which by its kind is `opens`.
    #[must_use]
    pub fn is_open(&self, seq: i64, opens: bool) -> bool {
        if self.opened.contains(&seq) {
            true
        } else if self.folded.contains(&seq) {
            false
        } else {
            self.all.unwrap_or(opens)
        }
    }

    /// Opens a step, or folds it.
    pub fn set(&mut self, seq: i64, open: bool) {
        self.version += 1;
        let (to, from) = if open { (&mut self.opened, &mut self.folded) } else { (&mut self.folded, &mut self.opened) };
        from.remove(&seq);
        to.insert(seq);
    }

    /// Opens all, folds all, then as they are by their kind.
    pub fn turn(&mut self) -> Option<bool> {
        self.version += 1;
        self.opened.clear();
        self.folded.clear();
        self.all = match self.all {
            None => Some(true),
            Some(true) => Some(false),
            Some(false) => None,
        };
        self.all
    }
}

/// What a height depends on, besides the width.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Measured {
    last: i64,
    open: bool,
    height: usize,
}

/// What the whole depends on.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Key {
    entries: u64,
    folds: u64,
    width: usize,
    digits: usize,
    over: bool,
}

/// The steps of a window and their places.
#[derive(Default)]
pub struct Layout {
    key: Key,
    steps: Vec<Step>,
    /// The first row of each step, and behind them the number of all rows.
    starts: Vec<usize>,
    known: HashMap<i64, Measured>,
    measured: u64,
}

impl std::fmt::Debug for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layout").field("steps", &self.steps.len()).field("rows", &self.rows()).finish_non_exhaustive()
    }
}

impl Layout {
    /// Brings it up to date; whether anything moved.
    pub fn settle(&mut self, transcript: &Transcript, folds: &Folds, canvas: &Canvas) -> bool {
        let key = Key {
            entries: transcript.version(),
            folds: folds.version,
            width: canvas.width,
            digits: canvas.digits,
            over: canvas.over,
        };
        if key == self.key && !self.starts.is_empty() {
            return false;
        }
        let before = self.key;
        if (key.width, key.digits, key.over) != (before.width, before.digits, before.over) {
            self.known.clear();
        }
        if key.entries != before.entries || self.starts.is_empty() {
            self.steps = step::steps(transcript.entries());
        }
        self.key = key;
        let mut known = HashMap::with_capacity(self.steps.len());
        self.starts.clear();
        let mut row = 0;
        for step in &self.steps {
            self.starts.push(row);
            let open = folds.is_open(step.seq, step.opens(transcript.entries(), key.over));
            let height = match self.known.get(&step.seq) {
                Some(measured) if (measured.last, measured.open) == (step.last, open) => measured.height,
                _ => {
                    self.measured += 1;
                    let shown = Shown { step, entries: transcript.entries(), open, selected: false };
                    rows::rows(shown, canvas).len()
                }
            };
            known.insert(step.seq, Measured { last: step.last, open, height });
            row += height;
        }
        self.starts.push(row);
        self.known = known;
        true
    }

    /// The steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The number of all rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The first row of a step, and the one behind its last.
    #[must_use]
    pub fn span(&self, index: usize) -> (usize, usize) {
        let row = |index: usize| self.starts.get(index).copied().unwrap_or_else(|| self.rows());
        (row(index), row(index + 1))
    }

    /// Whether a step is open.
    #[must_use]
    pub fn is_open(&self, seq: i64) -> bool {
        self.known.get(&seq).is_some_and(|measured| measured.open)
    }

    /// The step that a row belongs to.
    #[must_use]
    pub fn at_row(&self, row: usize) -> usize {
        let behind = self.starts.partition_point(|start| *start <= row);
        behind.saturating_sub(1).min(self.steps.len().saturating_sub(1))
    }

    /// The step with this number, or the one before it.
    #[must_use]
    pub fn at_seq(&self, seq: i64) -> usize {
        let behind = self.steps.partition_point(|step| step.seq <= seq);
        behind.saturating_sub(1)
    }

    /// How many steps were measured so far.
    #[must_use]
    pub fn measured(&self) -> u64 {
        self.measured
    }
}
