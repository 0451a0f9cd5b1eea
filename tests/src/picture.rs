//! Pictures of a terminal: what tmux captured, with its colours, as SVG; and several of them as one that moves.

use std::fmt::Write as _;
use std::time::Duration;

use unicode_width::UnicodeWidthChar as _;

/// Width and height of a cell, in units of the picture.
const CELL: (f64, f64) = (8.4, 18.0);
/// Around the screen.
const MARGIN: f64 = 12.0;
/// How much longer the last frame of a moving picture stays.
const LAST: Duration = Duration::from_secs(6);
const PAPER: &str = "#16181d";
const INK: &str = "#d7dae0";
/// The sixteen colours of a terminal.
const COLOURS: [&str; 16] = [
    "#2b2f37", "#e5646e", "#8fc17b", "#e2b86b", "#6cb0ef", "#c488dd", "#5cc0c7", "#c6cad2", "#6b7280", "#ff8088",
    "#a9dd93", "#f6d08a", "#8cc6ff", "#dba4f2", "#7fdde3", "#ffffff",
];

/// The first eight of them behind a text: darker, as terminals have them, so that white can be read on each.
const PAPERS: [&str; 8] = ["#2b2f37", "#8f3a42", "#4d7042", "#8a6c35", "#2d5c91", "#734a85", "#33757a", "#6b7280"];

/// How a cell looks.
#[allow(clippy::struct_excessive_bools)] // as a terminal has them
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Look {
    ink: Option<String>,
    paper: Option<String>,
    bold: bool,
    dim: bool,
    italic: bool,
    underlined: bool,
    reversed: bool,
}

/// Characters in a row that look alike, and where they begin.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    column: usize,
    cells: usize,
    text: String,
    look: Look,
}

/// A screen as `tmux capture-pane -p -e` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screen {
    /// With escape sequences for colours, and no others.
    pub text: String,
    /// Cells in a row.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

impl Screen {
    /// As an SVG. `title` is for who cannot see it.
    #[must_use]
    pub fn svg(&self, title: &str) -> String {
        let mut svg = head(self.columns, self.rows, title);
        svg.push_str(&self.group(""));
        svg.push_str("</svg>\n");
        svg
    }

    fn group(&self, attributes: &str) -> String {
        let mut group = format!("<g{attributes}>\n");
        let mut look = Look::default();
        for (row, line) in self.text.lines().take(usize::from(self.rows)).enumerate() {
            for run in runs(line, &mut look) {
                draw(&mut group, row, &run);
            }
        }
        group.push_str("</g>\n");
        group
    }
}

/// Screens one after the other, each for as long as it stood, without end.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn moving(frames: &[(Screen, Duration)], title: &str) -> String {
    let first = &frames.first().expect("a frame").0;
    let total: Duration = frames.iter().map(|(_, stood)| *stood).sum::<Duration>() + LAST;
    let mut svg = head(first.columns, first.rows, title);
    let mut from = Duration::ZERO;
    for (index, (screen, stood)) in frames.iter().enumerate() {
        let to = if index + 1 == frames.len() { total } else { from + *stood };
        let share = |at: Duration| at.as_secs_f64() / total.as_secs_f64();
        let (a, b) = (share(from), share(to));
        // Hidden, shown between the two moments, hidden again.
        let (values, times) = match index {
            0 => ("visible;hidden".to_owned(), format!("0;{b:.5}")),
            _ if index + 1 == frames.len() => ("hidden;visible".to_owned(), format!("0;{a:.5}")),
            _ => ("hidden;visible;hidden".to_owned(), format!("0;{a:.5};{b:.5}")),
        };
        let group = screen.group(if index == 0 { "" } else { " visibility=\"hidden\"" });
        let animate = format!(
            "<animate attributeName=\"visibility\" calcMode=\"discrete\" dur=\"{:.2}s\" repeatCount=\"indefinite\" values=\"{values}\" keyTimes=\"{times}\"/>\n</g>\n",
            total.as_secs_f64()
        );
        svg.push_str(group.strip_suffix("</g>\n").unwrap_or(&group));
        if frames.len() > 1 {
            svg.push_str(&animate);
        } else {
            svg.push_str("</g>\n");
        }
        from = to;
    }
    svg.push_str("</svg>\n");
    svg
}

fn head(columns: u16, rows: u16, title: &str) -> String {
    let (width, height) = (f64::from(columns) * CELL.0 + 2.0 * MARGIN, f64::from(rows) * CELL.1 + 2.0 * MARGIN);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" font-family=\"ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace\" font-size=\"14\" fill=\"{INK}\" xml:space=\"preserve\">\n<title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{PAPER}\"/>\n",
        escaped(title)
    )
}

fn draw(svg: &mut String, row: usize, run: &Run) {
    let (mut ink, mut paper) = (run.look.ink.clone(), run.look.paper.clone());
    if run.look.reversed {
        (ink, paper) = (Some(paper.unwrap_or_else(|| PAPER.into())), Some(ink.unwrap_or_else(|| INK.into())));
    }
    #[allow(clippy::cast_precision_loss)] // cells of a screen
    let (x, y, width) = (MARGIN + run.column as f64 * CELL.0, MARGIN + row as f64 * CELL.1, run.cells as f64 * CELL.0);
    if let Some(paper) = paper {
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{paper}\"/>",
            CELL.1
        );
    }
    if run.text.trim().is_empty() {
        return;
    }
    let mut style = String::new();
    if let Some(ink) = ink {
        let _ = write!(style, " fill=\"{ink}\"");
    }
    for (is, attribute) in [
        (run.look.bold, " font-weight=\"bold\""),
        (run.look.dim, " opacity=\"0.6\""),
        (run.look.italic, " font-style=\"italic\""),
        (run.look.underlined, " text-decoration=\"underline\""),
    ] {
        if is {
            style.push_str(attribute);
        }
    }
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{:.1}\" textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\"{style}>{}</text>",
        y + 13.5,
        escaped(&run.text)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A line's runs. `look` goes on from line to line, as it does in a terminal.
fn runs(line: &str, look: &mut Look) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut column = 0;
    let mut rest = line.chars();
    while let Some(char) = rest.next() {
        if char == '\u{1b}' {
            let sequence: String = rest.by_ref().skip(1).take_while(|char| *char != 'm').collect();
            look.apply(&sequence);
            continue;
        }
        let cells = char.width().unwrap_or(0);
        match runs.last_mut() {
            // A blank ends a run of words, so that each is where it belongs in whatever font.
            Some(run) if run.look == *look && (cells == 0 || (char == ' ') == run.text.ends_with(' ')) => {
                run.text.push(char);
                run.cells += cells;
            }
            _ => runs.push(Run { column, cells, text: char.into(), look: look.clone() }),
        }
        column += cells;
    }
    runs
}

impl Look {
    /// What `ESC [ … m` says.
    fn apply(&mut self, sequence: &str) {
        let mut codes = sequence.split([';', ':']).map(|code| code.parse::<u8>().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underlined = true,
                7 => self.reversed = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underlined = false,
                27 => self.reversed = false,
                30..=37 => self.ink = colour(code - 30),
                90..=97 => self.ink = colour(code - 90 + 8),
                39 => self.ink = None,
                40..=47 => self.paper = paper(code - 40),
                100..=107 => self.paper = paper(code - 100 + 8),
                49 => self.paper = None,
                38 => self.ink = wide_colour(&mut codes, colour),
                48 => self.paper = wide_colour(&mut codes, paper),
                _ => {}
            }
        }
    }
}

fn colour(index: u8) -> Option<String> {
    COLOURS.get(usize::from(index)).map(|&colour| colour.to_owned())
}

fn paper(index: u8) -> Option<String> {
    PAPERS.get(usize::from(index)).map(|&colour| colour.to_owned()).or_else(|| colour(index))
}

/// One of 256, or of all; the first sixteen as `named` has them.
fn wide_colour(codes: &mut impl Iterator<Item = u8>, named: fn(u8) -> Option<String>) -> Option<String> {
    match codes.next()? {
        5 => match codes.next()? {
            index @ 0..=15 => named(index),
            index @ 16..=231 => {
                let step = |value: u8| if value == 0 { 0 } else { 55 + value * 40 };
                let index = index - 16;
                Some(format!("#{:02x}{:02x}{:02x}", step(index / 36), step(index / 6 % 6), step(index % 6)))
            }
            index => {
                let grey = 8 + (index - 232) * 10;
                Some(format!("#{grey:02x}{grey:02x}{grey:02x}"))
            }
        },
        2 => Some(format!("#{:02x}{:02x}{:02x}", codes.next()?, codes.next()?, codes.next()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_alike_is_one_run_and_a_wide_character_takes_two_cells() {
        let mut look = Look::default();
        let runs = runs("a\u{1b}[31mbc\u{1b}[0m 界x", &mut look);
        let shown: Vec<_> = runs.iter().map(|run| (run.column, run.cells, run.text.as_str())).collect();
        assert_eq!(shown, [(0, 1, "a"), (1, 2, "bc"), (3, 1, " "), (4, 3, "界x")]);
        assert_eq!(runs[1].look.ink.as_deref(), Some(COLOURS[1]));
    }

    #[test]
    fn what_stands_behind_a_text_is_darker_however_it_is_said() {
        for sequence in ["44", "48;5;4"] {
            let mut look = Look::default();
            look.apply(sequence);
            assert_eq!(look.paper.as_deref(), Some(PAPERS[4]), "{sequence}");
        }
    }

    #[test]
    fn what_stands_on_the_screen_cannot_break_the_picture() {
        let screen = Screen { text: "<script>&\"".into(), columns: 20, rows: 1 };
        let svg = screen.svg("a & b");
        assert!(svg.contains("&lt;script&gt;&amp;&quot;") && svg.contains("a &amp; b"), "{svg}");
        assert!(svg.ends_with("</svg>\n"));
    }

    #[test]
    fn a_moving_picture_shows_each_frame_in_its_time() {
        let frame = |text: &str| Screen { text: text.into(), columns: 4, rows: 1 };
        let svg = moving(&[(frame("one"), Duration::from_secs(2)), (frame("two"), Duration::from_secs(2))], "two");
        assert_eq!(svg.matches("<animate").count(), 2, "{svg}");
        assert!(svg.contains("dur=\"10.00s\"") && svg.contains("keyTimes=\"0;0.20000\""), "{svg}");
        assert_eq!(svg.matches("<g").count(), svg.matches("</g>").count());
    }
}
