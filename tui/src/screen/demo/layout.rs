//! Where the panels stand.

use ratatui::layout::Rect;

use super::PANELS;

/// Fewer columns than this hold one panel at a time.
pub const WIDE: u16 = 100;
/// The panel at the left.
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

/// The places on a screen of this size.
#[must_use]
pub fn places(area: Rect) -> Places {
    if area.width < WIDE || area.height < 17 {
        let tabs = Rect { height: area.height.min(1), ..area };
        let panel = Rect { y: area.y + tabs.height, height: area.height - tabs.height, ..area };
        return Places::One { tabs, panel };
    }
    let left = LEFT.max(area.width * 3 / 10).min(60);
    let right = Rect { x: area.x + left, width: area.width - left, ..area };
    let share = |part: u16, least: u16| (area.height * part / 33).max(least);
    let (chapter, monitor, workload) = (share(11, 6), share(6, 4), 3);
    let agent = area.height - chapter - monitor - workload;
    let mut y = area.y;
    let mut next = |height: u16| {
        let place = Rect { y, height, ..right };
        y += height;
        place
    };
    let below = [next(chapter), next(monitor), next(agent), next(workload)];
    let [chapter, monitor, agent, workload] = below;
    Places::All([Rect { width: left, ..area }, chapter, monitor, agent, workload])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_panels_fill_the_screen_and_nothing_overlaps() {
        for width in (60..320).step_by(7) {
            for height in 9..110 {
                let area = Rect::new(0, 1, width, height);
                let places = match places(area) {
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
