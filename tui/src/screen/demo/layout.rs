//! Where the panels stand.

use ratatui::layout::Rect;

use super::PANELS;

/// Fewer columns than this hold one panel at a time.
pub const WIDE: u16 = 100;
/// And fewer lines.
const HIGH: u16 = 18;
/// The panel at the left, of 120 columns.
const LEFT: u16 = 35;

/// The places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Places {
    /// All panels beside and below each other.
    All([Rect; PANELS]),
    /// One, below the names of all.
    One {
        /// The line of names.
        tabs: Rect,
        /// The panel.
        panel: Rect,
    },
}

/// How wide the panels at the right are on a screen of this width.
#[must_use]
pub fn right(width: u16) -> u16 {
    width - left(width)
}

fn left(width: u16) -> u16 {
    (width * LEFT / 120).clamp(LEFT, 60).min(width)
}

/// The places on a screen of this size; the chapter would like to have so many lines.
#[must_use]
pub fn places(area: Rect, chapter: u16) -> Places {
    if area.width < WIDE || area.height < HIGH {
        let tabs = Rect { height: area.height.min(1), ..area };
        let panel = Rect { y: area.y + tabs.height, height: area.height - tabs.height, ..area };
        return Places::One { tabs, panel };
    }
    let left = left(area.width);
    let right = Rect { x: area.x + left, width: area.width - left, ..area };
    // Of 33 lines the chapter has 6, the monitor 8, the agent 13 and the workload 6; a longer chapter takes from the two
    // in the middle.
    let chapter = chapter.clamp(6, (area.height * 2 / 5).max(6));
    let workload = (area.height * 6 / 33).clamp(3, 8);
    let middle = area.height - chapter - workload;
    let monitor = (middle * 8 / 21).max(4);
    let mut y = area.y;
    let mut next = |height: u16| {
        let place = Rect { y, height, ..right };
        y += height;
        place
    };
    let [chapter, monitor, agent, workload] = [chapter, monitor, middle - monitor, workload].map(&mut next);
    Places::All([Rect { width: left, ..area }, chapter, monitor, agent, workload])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_panels_are_as_drawn() {
        let Places::All(places) = places(Rect::new(0, 1, 120, 33), 6) else { panic!("not wide") };
        let sizes = places.map(|place| (place.width, place.height));
        assert_eq!(sizes, [(35, 33), (85, 6), (85, 8), (85, 13), (85, 6)]);
    }

    #[test]
    fn the_panels_fill_the_screen_and_nothing_overlaps() {
        for width in (0..320).step_by(7) {
            for height in 0..110 {
                for chapter in [0, 6, 9, 14, 60] {
                    let area = Rect::new(0, 1, width, height);
                    let places = match places(area, chapter) {
                        Places::All(places) => places.to_vec(),
                        Places::One { tabs, panel } => vec![tabs, panel],
                    };
                    let cells: u32 = places.iter().map(|place| place.area()).sum();
                    assert_eq!(cells, area.area(), "{area}: {places:?}");
                    for (index, one) in places.iter().enumerate() {
                        assert_eq!(one.intersection(area), *one, "{area}");
                        assert!(places[index + 1..].iter().all(|other| !one.intersects(*other)), "{area}: {places:?}");
                    }
                }
            }
        }
    }
}
