//! What came of it, as a page has it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use operator_tests::checks::Tally;

use super::rows::Row;

/// What came of a row.
pub(crate) enum Outcome {
    /// All holds.
    Holds(Tally),
    /// This does not.
    Wrong(Vec<String>),
    /// It could not be played here.
    Skipped(&'static str),
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Holds(tally) => write!(f, "{}, resumed {} times", commands(tally), tally.resumed),
            Self::Wrong(wrong) => write!(f, "DOES NOT HOLD\n  {}", wrong.join("\n  ")),
            Self::Skipped(why) => write!(f, "not played: {why}"),
        }
    }
}

/// A row that was played.
pub(crate) struct Played {
    place: &'static str,
    fault: &'static str,
    result: Outcome,
    took: Duration,
}

impl Played {
    pub(crate) fn new(row: &Row, result: Outcome, took: Duration) -> Self {
        Self { place: row.place, fault: row.fault.name(), result, took }
    }
}

/// All of them.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Played>,
    end: Vec<String>,
}

impl Table {
    pub(crate) fn add(&mut self, row: Played) {
        self.rows.push(row);
    }

    /// What was found wrong when a lane was done.
    pub(crate) fn at_the_end(&mut self, wrong: Vec<String>) {
        self.end.extend(wrong);
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// All that does not hold, in sentences.
    pub(crate) fn failed(&self) -> Vec<String> {
        let failed = self.rows.iter().filter_map(|row| {
            let Outcome::Wrong(wrong) = &row.result else { return None };
            Some(format!("{}: {}: {}", row.place, row.fault, wrong.join("; ")))
        });
        failed.chain(self.end.iter().cloned()).collect()
    }

    pub(crate) fn markdown(&self) -> String {
        let order = super::rows::all();
        let place = |row: &Played| order.iter().position(|r| r.place == row.place && r.fault.name() == row.fault);
        let mut rows: Vec<&Played> = self.rows.iter().collect();
        rows.sort_by_key(|row| place(row));
        let mut text = String::from("| where | what | commands | rows | s |\n|---|---|---|--:|--:|\n");
        for row in rows {
            let (commands, entries) = match &row.result {
                Outcome::Holds(tally) => (commands(tally), tally.entries.to_string()),
                Outcome::Wrong(wrong) => {
                    (format!("**does not hold**: {}", wrong.join("; ").replace('|', "/")), "-".into())
                }
                Outcome::Skipped(why) => (format!("not played: {why}"), "-".into()),
            };
            let _ = writeln!(
                text,
                "| {} | {} | {commands} | {entries} | {:.1} |",
                row.place,
                row.fault,
                row.took.as_secs_f64()
            );
        }
        text
    }
}

fn commands(tally: &Tally) -> String {
    let others: Vec<String> = tally
        .outcomes
        .iter()
        .filter(|(_, outcome)| *outcome != "exited")
        .map(|(command, outcome)| format!("{command} {}", outcome.replace('_', " ")))
        .collect();
    if others.is_empty() {
        "4 ran once".into()
    } else {
        format!("{} ran once, {}", 4 - others.len(), others.join(", "))
    }
}

/// Puts the table between its marks in a page.
pub(crate) fn write(page: &Path, table: &str) {
    const BEGIN: &str = "<!-- the matrix begins -->\n";
    const END: &str = "<!-- the matrix ends -->";
    let text = std::fs::read_to_string(page).expect("the page");
    let (head, rest) = text.split_once(BEGIN).expect("the mark at which the table begins");
    let (_, tail) = rest.split_once(END).expect("the mark at which the table ends");
    std::fs::write(page, format!("{head}{BEGIN}{table}{END}{tail}")).expect("the page");
}
