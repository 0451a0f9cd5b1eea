//! How the model looks. Nothing here changes anything.

pub mod confirm;
pub mod footer;
pub mod header;
pub mod help;
pub mod message;
pub mod pager;
pub mod panel;

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::model::{Model, SMALLEST, body_of};
use crate::overlay::Overlay;

/// Draws all of it.
pub fn draw(model: &Model, frame: &mut Frame) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        return too_small(model, frame, area);
    }
    let (body, ctx) = (body_of((area.width, area.height)), model.ctx());
    header::draw(model, frame, Rect { height: 1, ..area });
    match &model.overlay {
        Some(Overlay::Help(pager) | Overlay::Pager(pager)) => pager::draw(&model.settings, pager, frame, body),
        Some(Overlay::Confirm(question)) => {
            model.screen().draw(&ctx, frame, body);
            confirm::draw(&model.settings, question, frame, body);
        }
        None => model.screen().draw(&ctx, frame, body),
    }
    let below = body.bottom();
    footer::status(model, frame, Rect::new(area.x, below, area.width, 1));
    footer::keys(model, frame, Rect::new(area.x, below + 1, area.width, 1));
}

fn too_small(model: &Model, frame: &mut Frame, area: Rect) {
    let (width, height) = SMALLEST;
    let have = format!("{}x{} is too small", area.width, area.height);
    let need = format!("{width}x{height} is needed");
    message::draw(&model.settings, frame, area, &have, &[&need]);
}
