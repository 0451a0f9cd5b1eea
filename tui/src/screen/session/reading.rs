//! Where somebody reads: the chosen step, the first row in sight, and whether the end is followed.

use super::layout::Layout;

/// The place.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Whether the end is followed.
    pub follow: bool,
    /// The number of the chosen step.
    pub chosen: i64,
    /// The first row in sight.
    pub top: usize,
    /// The step that the first row belongs to, and which of its rows it is: what stands when steps come or go above.
    anchor: (i64, usize),
    /// The last entry that was there when following ended.
    pub seen: i64,
}

impl Default for Reading {
    fn default() -> Self {
        Self { follow: true, chosen: 0, top: 0, anchor: (0, 0), seen: 0 }
    }
}

/// A way to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// One step.
    Step(bool),
    /// So many rows.
    Rows(isize),
}

impl Reading {
    /// The place of the chosen step.
    #[must_use]
    pub fn index(&self, layout: &Layout) -> usize {
        layout.at_seq(self.chosen)
    }

    /// After steps came, went or changed their height.
    pub fn settle(&mut self, layout: &Layout, height: usize) {
        let Some(last) = layout.steps().last() else {
            self.top = 0;
            return;
        };
        if self.follow {
            self.chosen = last.seq;
            self.top = layout.rows().saturating_sub(height);
        } else {
            let (seq, row) = self.anchor;
            let index = layout.at_seq(seq);
            let (start, end) = layout.span(index);
            self.top = (start + row).min(end.saturating_sub(1)).min(layout.rows().saturating_sub(height));
            self.chosen = layout.steps()[self.index(layout)].seq;
        }
        self.moor(layout);
    }

    /// The end is not followed any more. `seen` is the last entry that there is.
    pub fn pause(&mut self, seen: i64) {
        if self.follow {
            self.follow = false;
            self.seen = seen;
        }
    }

    /// To the end, and from now on with it.
    pub fn to_end(&mut self, layout: &Layout, height: usize) {
        self.follow = true;
        self.settle(layout, height);
    }

    /// To the beginning, which may not be here yet.
    pub fn to_start(&mut self) {
        (self.chosen, self.top, self.anchor) = (0, 0, (0, 0));
    }

    /// To a step.
    pub fn choose(&mut self, index: usize, layout: &Layout, height: usize) {
        let Some(step) = layout.steps().get(index) else { return };
        self.chosen = step.seq;
        let (start, end) = layout.span(index);
        if start < self.top || end - start >= height {
            self.top = start;
        } else if end > self.top + height {
            self.top = end - height;
        }
        self.moor(layout);
    }

    /// Moves; whether there was anywhere to go.
    pub fn go(&mut self, way: Move, layout: &Layout, height: usize) -> bool {
        let index = self.index(layout);
        let (start, end) = layout.span(index);
        let last = layout.steps().len().saturating_sub(1);
        match way {
            // A step that is larger than the screen is read row by row.
            Move::Step(true) if end > self.top + height && start <= self.top => self.top += 1,
            Move::Step(false) if start < self.top && end <= self.top + height.max(1) => self.top -= 1,
            Move::Step(false) if start < self.top => self.top -= 1,
            Move::Step(true) if index < last => return self.chosen_at(index + 1, layout, height),
            Move::Step(false) if index > 0 => {
                let moved = self.chosen_at(index - 1, layout, height);
                // A large step is entered from its end.
                let (start, end) = layout.span(index - 1);
                if end - start > height {
                    self.top = end - height;
                    self.moor(layout);
                }
                return moved;
            }
            Move::Step(_) => return false,
            Move::Rows(rows) => {
                let most = layout.rows().saturating_sub(height);
                let top = self.top.saturating_add_signed(rows).min(most);
                let moved = top != self.top;
                let row = if moved {
                    // The chosen step keeps its place on the screen.
                    top + start.saturating_sub(self.top).min(height.saturating_sub(1))
                } else if rows < 0 {
                    0
                } else {
                    layout.rows().saturating_sub(1)
                };
                self.top = top;
                let step = layout.at_row(row);
                let changed = layout.steps().get(step).is_some_and(|step| step.seq != self.chosen);
                if let Some(step) = layout.steps().get(step) {
                    self.chosen = step.seq;
                }
                self.moor(layout);
                return moved || changed;
            }
        }
        self.moor(layout);
        true
    }

    fn chosen_at(&mut self, index: usize, layout: &Layout, height: usize) -> bool {
        self.choose(index, layout, height);
        true
    }

    fn moor(&mut self, layout: &Layout) {
        let index = layout.at_row(self.top);
        if let Some(step) = layout.steps().get(index) {
            self.anchor = (step.seq, self.top - layout.span(index).0);
        }
    }
}
