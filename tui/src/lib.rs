//! The terminal UI of Operator.
//!
//! One direction, as in Elm: [`msg::Msg`] goes into [`update::update`], which changes the [`model::Model`] and
//! answers with [`msg::Cmd`]s; [`view::draw`] shows the model. Neither of the two does anything else, so that every
//! state can be tested without a terminal or a cluster. What acts is at the edge: [`run`] (the loop), [`terminal`],
//! and a [`feed::Feed`], which may be a cluster, a recording or a fake.

pub mod act;
pub mod ask;
pub mod cli;
pub mod config;
pub mod feed;
pub mod glyphs;
pub mod input;
pub mod keymap;
pub mod model;
pub mod msg;
pub mod overlay;
pub mod page;
pub mod plain;
pub mod rights;
pub mod run;
pub mod screen;
pub mod settings;
pub mod terminal;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod text;
pub mod theme;
pub mod time;
pub mod update;
pub mod view;
pub mod world;

#[cfg(test)]
mod tests;
