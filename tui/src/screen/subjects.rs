//! The Subjects screen: the systems under care, what has to hold of each, and what does not.

mod describe;
mod invariants;
mod row;
mod view;

use std::sync::Arc;
use std::time::Duration;

use crds::Subject;
use ratatui::Frame;
use ratatui::layout::Rect;
use regex::{Regex, RegexBuilder};

pub use row::State as Health;
pub use row::{health, sign};

use super::describe::yaml;
use super::list::List;
use super::table::Widths;
use crate::ask::{Ask, Document, Target};
use crate::keymap::{Action, Context};
use crate::msg::Cmd;
use crate::page::{Ctx, Page, Purpose, Typed};
use crate::settings::Scope;
use crate::text;
use crate::world::Named as _;

/// By what Subjects are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Order {
    /// The unhealthy first.
    #[default]
    State,
    Name,
}

/// Where a Subject stands.
type Key = (u8, String, String);

/// Its state.
#[derive(Debug)]
pub struct State {
    list: List<Key>,
    order: Order,
    filter: Option<Regex>,
    /// The filter that holds again if the one that is typed is given up.
    before: Option<Regex>,
    preview: bool,
    widths: Widths,
}

impl Default for State {
    fn default() -> Self {
        Self {
            list: List::default(),
            order: Order::default(),
            filter: None,
            before: None,
            preview: true,
            widths: Widths::default(),
        }
    }
}

impl State {
    fn selected<'a>(&self, ctx: &Ctx<'a>) -> Option<&'a Arc<Subject>> {
        self.list.selected().and_then(|uid| ctx.world.subjects.get(uid))
    }

    fn set_filter(&mut self, filter: Option<Regex>) {
        self.filter = filter;
        self.widths = Widths::default();
        self.list.resort(self.list.is_reversed());
    }

    fn pager(&self, ctx: &Ctx, text: impl Fn(&Subject) -> String) -> Vec<Ask> {
        let document = |subject: &Arc<Subject>| {
            let title = format!("{}/{}", subject.space(), subject.named());
            Ask::Pager(Document { title, text: text(subject) })
        };
        self.selected(ctx).map(document).into_iter().collect()
    }
}

fn haystack(subject: &Subject) -> String {
    let status = subject.status.as_ref();
    let open = status.and_then(|status| status.open_incident.as_deref()).unwrap_or_default();
    let names: Vec<&str> = status.iter().flat_map(|status| &status.invariants).map(|i| i.name.as_str()).collect();
    let place = subject.spec.r#where.docker.as_ref().map(|docker| docker.project.as_str()).unwrap_or_default();
    let health = health(subject).label();
    format!("{}/{}\n{health}\n{open}\n{place}\n{}", subject.space(), subject.named(), names.join("\n"))
}

impl Page for State {
    fn context(&self) -> Context {
        Context::Subjects
    }

    fn crumbs(&self, _: &Ctx) -> Vec<String> {
        vec!["subjects".to_owned()]
    }

    fn facts(&self, ctx: &Ctx) -> Vec<String> {
        let (shown, all) = (self.list.len() as u64, ctx.world.subjects.len() as u64);
        vec![if shown == all { text::number(all) } else { format!("{}/{}", text::number(shown), text::number(all)) }]
    }

    fn filter(&self) -> Option<String> {
        self.filter.as_ref().map(|filter| filter.as_str().to_owned())
    }

    fn act(&mut self, action: Action, ctx: &Ctx) -> Vec<Ask> {
        let height = usize::from(view::split(self, ctx.body).0.height);
        if self.list.act(action, height) {
            return Vec::new();
        }
        match action {
            Action::Open => {
                let filter = self.selected(ctx).map(|subject| {
                    let space = match ctx.settings.scope {
                        Scope::All => format!(" ns={}", subject.space()),
                        Scope::Namespace(_) => String::new(),
                    };
                    format!("subject={}{space}", subject.named())
                });
                filter.map(|filter| Ask::Open(Target::Incidents { filter })).into_iter().collect()
            }
            Action::Yaml => self.pager(ctx, yaml),
            Action::Describe => self.pager(ctx, |subject| describe::describe(ctx, subject)),
            Action::Copy => {
                let Some(subject) = self.selected(ctx) else { return Vec::new() };
                let name = subject.named().to_owned();
                vec![Cmd::Copy(name.clone()).into(), Ask::Say(format!("copied {name}"))]
            }
            Action::Preview => {
                self.preview = !self.preview;
                Vec::new()
            }
            Action::Sort => {
                self.order = if self.order == Order::State { Order::Name } else { Order::State };
                self.list.resort(false);
                let by = if self.order == Order::State { "state" } else { "name" };
                vec![Ask::Say(format!("sorted by {by}"))]
            }
            Action::SortReverse => {
                self.list.resort(!self.list.is_reversed());
                Vec::new()
            }
            Action::Filter => {
                self.before.clone_from(&self.filter);
                vec![Ask::Prompt { purpose: Purpose::Filter, text: self.filter().unwrap_or_default() }]
            }
            _ => Vec::new(),
        }
    }

    fn typed(&mut self, purpose: Purpose, text: &str, typed: Typed, _: &Ctx) -> Result<Vec<Ask>, String> {
        match (purpose, typed) {
            (Purpose::Filter, Typed::Aborted) => {
                let before = self.before.take();
                self.set_filter(before);
            }
            (Purpose::Filter, _) if text.trim().is_empty() => self.set_filter(None),
            (Purpose::Filter, _) => {
                let built = RegexBuilder::new(text.trim()).case_insensitive(true).size_limit(1 << 20).build();
                self.set_filter(Some(built.map_err(|_| format!("{text:?} is not a regular expression"))?));
            }
            _ => {}
        }
        Ok(Vec::new())
    }

    fn settle(&mut self, ctx: &Ctx) -> Vec<Ask> {
        let (order, filter) = (self.order, &self.filter);
        let subjects = &ctx.world.subjects;
        self.list.sync(subjects, |subject| {
            let shown = filter.as_ref().is_none_or(|filter| filter.is_match(&haystack(subject)));
            let rank = if order == Order::State { health(subject) as u8 } else { 0 };
            shown.then(|| (rank, subject.named().to_owned(), subject.space().to_owned()))
        });
        let columns = view::columns(ctx);
        let (page, _) = self.list.page(view::split(self, ctx.body).0.height.into());
        for (_, uid) in page {
            if let Some(subject) = subjects.get(uid) {
                self.widths.see(&columns, &view::cells(ctx, subject));
            }
        }
        Vec::new()
    }

    fn tick(&self, ctx: &Ctx) -> Option<Duration> {
        view::tick(self, ctx)
    }

    fn draw(&self, ctx: &Ctx, frame: &mut Frame, area: Rect) {
        view::draw(self, ctx, frame, area);
    }
}
