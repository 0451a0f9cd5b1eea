//! Columns: which of them there is room for, and how wide they are.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::settings::Settings;
use crate::text;
use crate::theme::Role;
use crate::view::panel::line;

/// Columns before the first cell: the cursor and the mark.
const GUTTER: u16 = 3;
/// Columns between two cells.
const GAP: usize = 2;
/// As narrow as a column gets before another one goes.
const NARROW: usize = 14;
/// As wide as the last column wants to be before others are as wide as their cells.
const READABLE: usize = 30;

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Above it.
    pub title: &'static str,
    /// As narrow as it may be.
    pub least: usize,
    /// As wide as it may be. The last column takes what is left.
    pub most: usize,
    /// Whether its cells stand at the right.
    pub right: bool,
    /// The lower, the sooner it goes when there is no room.
    pub rank: u8,
}

/// A cell.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What stands in it.
    pub text: String,
    /// How it looks.
    pub role: Role,
}

impl Cell {
    /// A cell.
    #[must_use]
    pub fn new(text: impl Into<String>, role: Role) -> Self {
        let text: String = text.into();
        Self { text: if text.contains(text::is_dropped) { text::one_line(&text) } else { text }, role }
    }
}

/// How wide the columns want to be: as the widest cell that was seen. They only grow while one scrolls, so that nothing
/// jumps.
#[derive(Clone, Debug, Default)]
pub struct Widths(Vec<usize>);

impl Widths {
    /// Takes a row into account.
    pub fn see(&mut self, columns: &[Column], cells: &[Cell]) {
        self.0.resize(columns.len(), 0);
        for ((width, column), cell) in self.0.iter_mut().zip(columns).zip(cells) {
            *width = (*width).max(text::width(&cell.text)).clamp(column.least, column.most);
        }
    }

    /// The width of each column in so much room; none for one that is not shown.
    ///
    /// Columns go before any of the others is too narrow to be read; what is left makes first the last one readable, then
    /// the others as wide as their cells, and then the last one as wide as may be.
    #[must_use]
    pub fn fit(&self, columns: &[Column], room: usize) -> Vec<Option<usize>> {
        let last = columns.len().saturating_sub(1);
        let wanted: Vec<usize> = columns
            .iter()
            .enumerate()
            .map(|(index, column)| match self.0.get(index) {
                _ if index == last => column.least.max(READABLE),
                seen => seen.copied().unwrap_or(0).max(text::width(column.title)).clamp(column.least, column.most),
            })
            .collect();
        let narrow = |index: usize| if index == last { columns[index].least } else { wanted[index].min(NARROW) };
        let mut widths: Vec<Option<usize>> = (0..columns.len()).map(|index| Some(narrow(index))).collect();
        let needed = |widths: &[Option<usize>]| widths.iter().flatten().map(|width| width + GAP).sum::<usize>();
        while needed(&widths) > room + GAP {
            let shown = (0..columns.len()).filter(|index| widths[*index].is_some() && columns[*index].rank < u8::MAX);
            let Some(index) = shown.min_by_key(|index| columns[*index].rank) else { break };
            widths[index] = None;
        }
        let mut left = (room + GAP).saturating_sub(needed(&widths));
        for index in std::iter::once(last).chain(0..last) {
            if let Some(width) = widths.get_mut(index).and_then(Option::as_mut) {
                let more = wanted[index].saturating_sub(*width).min(left);
                *width += more;
                left -= more;
            }
        }
        if let Some(width) = widths.last_mut().and_then(Option::as_mut) {
            *width += left;
        }
        widths
    }
}

/// Draws the line of titles. `sorted` is the title of the column that the rows are sorted by.
pub fn titles(
    settings: &Settings,
    frame: &mut Frame,
    area: Rect,
    columns: &[Column],
    widths: &[Option<usize>],
    sorted: (&str, bool),
) {
    let style = settings.theme.style(Role::Heading);
    let mut x = area.x + GUTTER;
    for (column, width) in columns.iter().zip(widths) {
        let Some(width) = *width else { continue };
        let arrow = if sorted.1 { settings.glyphs.up } else { settings.glyphs.down };
        let mut title = column.title.to_owned();
        if column.title == sorted.0 && text::width(&title) < width + GAP {
            title.push_str(arrow);
        }
        // The arrow may stand in the gap.
        let shown = if column.right { text::pad(&title, width) } else { title };
        line(frame, x, area.y, &text::end(&shown, width + 1, ""), style);
        x = x.saturating_add(u16::try_from(width + GAP).unwrap_or(u16::MAX));
    }
}

/// What a row is, beside its cells.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    /// The cursor is on it.
    pub selected: bool,
    /// A person marked it.
    pub marked: bool,
    /// What it says may be old.
    pub stale: bool,
}

/// Draws a row.
pub fn row(
    settings: &Settings,
    frame: &mut Frame,
    area: Rect,
    columns: &[Column],
    widths: &[Option<usize>],
    cells: &[Cell],
    mark: Mark,
) {
    let (glyphs, theme) = (settings.glyphs, settings.theme);
    let over: Option<Style> = match mark {
        Mark { selected: true, .. } => Some(theme.style(Role::Selected)),
        Mark { stale: true, .. } => Some(theme.style(Role::Dim)),
        Mark { marked: true, .. } => Some(theme.style(Role::Marked)),
        _ => None,
    };
    if mark.selected {
        line(frame, area.x, area.y, &" ".repeat(area.width.into()), theme.style(Role::Selected));
        line(frame, area.x, area.y, glyphs.cursor, theme.style(Role::Selected).patch(theme.style(Role::Focus)));
    }
    if mark.marked {
        line(frame, area.x + 1, area.y, glyphs.mark, over.unwrap_or(theme.style(Role::Marked)));
    }
    let mut x = area.x + GUTTER;
    for ((column, width), cell) in columns.iter().zip(widths).zip(cells) {
        let Some(width) = *width else { continue };
        let shown = text::end(&cell.text, width, glyphs.more);
        let shown = if column.right { text::pad(&shown, width) } else { shown };
        line(frame, x, area.y, &shown, over.unwrap_or(theme.style(cell.role)));
        x = x.saturating_add(u16::try_from(width + GAP).unwrap_or(u16::MAX));
    }
}

/// A bar at the right edge that shows where one is, if not all rows are on the screen.
pub fn scroll_bar(settings: &Settings, frame: &mut Frame, area: Rect, offset: usize, all: usize) {
    let height = usize::from(area.height);
    if all <= height || height == 0 {
        return;
    }
    let length = (height * height / all).clamp(1, height);
    let start = (height - length) * offset / (all - height);
    for row in 0..length {
        let y = area.y + u16::try_from(start + row).unwrap_or(0);
        if y < area.bottom() {
            line(frame, area.right() - 1, y, settings.glyphs.thumb, settings.theme.style(Role::Border));
        }
    }
}

/// The room for cells in a place.
#[must_use]
pub fn room(area: Rect) -> usize {
    // The last column is the scroll bar's.
    usize::from(area.width.saturating_sub(GUTTER + 1))
}
