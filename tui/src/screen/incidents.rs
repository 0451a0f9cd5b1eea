//! The Incidents screen: all of them, what each is doing now, and what one can do about it.

mod acts;
mod describe;
mod filter;
mod order;
mod preview;
mod row;
mod view;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crds::Incident;
use ratatui::Frame;
use ratatui::layout::Rect;

pub use acts::{cancel, note, retry};
pub use describe::describe;
pub use filter::Filter;
pub use order::Order;
pub use row::{can_cancel, can_retry, severity, sign};

use super::describe::yaml;
use super::list::List;
use super::table::Widths;
use crate::ask::{Ask, Document, SessionTarget, Target};
use crate::keymap::{Action, Context};
use crate::msg::Cmd;
use crate::page::{Ctx, Page, Purpose, Typed};
use crate::text;
use crate::time;
use crate::world::{Named as _, Uid};
use order::Key;

/// The most rows whose width is looked at when everything is sorted anew.
const MEASURED: usize = 200;

/// Its state.
#[derive(Debug, Default)]
pub struct State {
    list: List<Key>,
    order: Order,
    filter: Filter,
    /// The filter that holds again if the one that is typed is given up.
    before: Option<Filter>,
    marked: HashSet<Uid>,
    preview: bool,
    widths: Widths,
    noting: Option<Uid>,
}

impl State {
    /// The screen with this filter. One that cannot be read is none: who starts the program reads why.
    #[must_use]
    pub fn new(filter: &str) -> Self {
        Self { filter: Filter::parse(filter).unwrap_or_default(), preview: true, ..Self::default() }
    }

    fn selected<'a>(&self, ctx: &Ctx<'a>) -> Option<&'a Arc<Incident>> {
        self.list.selected().and_then(|uid| ctx.world.incidents.get(uid))
    }

    /// All that are marked, or the one under the cursor.
    fn chosen<'a>(&self, ctx: &Ctx<'a>) -> Vec<&'a Arc<Incident>> {
        if self.marked.is_empty() {
            return self.selected(ctx).into_iter().collect();
        }
        let mut chosen: Vec<_> = self.marked.iter().filter_map(|uid| ctx.world.incidents.get(uid)).collect();
        chosen.sort_by_key(|incident| (incident.space().to_owned(), incident.named().to_owned()));
        chosen
    }

    fn sort(&mut self, order: Order, reversed: bool) -> Vec<Ask> {
        self.order = order;
        self.list.resort(reversed);
        let way = if reversed { ", the other way round" } else { "" };
        vec![Ask::Say(format!("sorted by {}{way}", order.label()))]
    }

    fn set_filter(&mut self, filter: Filter) {
        if filter.text() != self.filter.text() {
            self.filter = filter;
            self.widths = Widths::default();
            self.list.resort(self.list.is_reversed());
        }
    }

    fn pager(&self, ctx: &Ctx, text: impl Fn(&Incident) -> String) -> Vec<Ask> {
        let document = |incident: &Arc<Incident>| {
            let title = format!("{}/{}", incident.space(), incident.named());
            Ask::Pager(Document { title, text: text(incident) })
        };
        self.selected(ctx).map(document).into_iter().collect()
    }

    fn mark(&mut self) {
        if let Some(uid) = self.list.selected().cloned()
            && !self.marked.remove(&uid)
        {
            self.marked.insert(uid);
        }
        self.list.act(Action::Down, usize::MAX >> 1);
    }
}

impl Page for State {
    fn context(&self) -> Context {
        Context::Incidents
    }

    fn crumbs(&self, _: &Ctx) -> Vec<String> {
        vec!["incidents".to_owned()]
    }

    fn facts(&self, ctx: &Ctx) -> Vec<String> {
        let (shown, all) = (self.list.len() as u64, ctx.world.incidents.len() as u64);
        let marked = match self.marked.len() {
            0 => String::new(),
            marked => format!("{} marked", text::number(marked as u64)),
        };
        let count =
            if shown == all { text::number(all) } else { format!("{}/{}", text::number(shown), text::number(all)) };
        vec![marked, count]
    }

    fn filter(&self) -> Option<String> {
        (!self.filter.is_empty()).then(|| self.filter.text().to_owned())
    }

    fn act(&mut self, action: Action, ctx: &Ctx) -> Vec<Ask> {
        let height = usize::from(view::split(self, ctx.body).0.height);
        if self.list.act(action, height) {
            return Vec::new();
        }
        match action {
            Action::Open => {
                let uid = self.list.selected().cloned();
                uid.map(|uid| Ask::Open(Target::Session(SessionTarget::Incident { uid }))).into_iter().collect()
            }
            Action::Yaml => self.pager(ctx, yaml),
            Action::Describe => self.pager(ctx, |incident| describe(ctx.settings, incident, ctx.now)),
            Action::Copy => {
                let names: Vec<&str> = self.chosen(ctx).into_iter().map(|incident| incident.named()).collect();
                if names.is_empty() {
                    return Vec::new();
                }
                vec![Cmd::Copy(names.join(" ")).into(), Ask::Say(format!("copied {}", names.join(" ")))]
            }
            Action::Preview => {
                self.preview = !self.preview;
                Vec::new()
            }
            Action::Mark => {
                self.mark();
                Vec::new()
            }
            Action::Sort => self.sort(self.order.next(), false),
            Action::SortReverse => self.sort(self.order, !self.list.is_reversed()),
            Action::Filter => {
                self.before = Some(self.filter.clone());
                vec![Ask::Prompt { purpose: Purpose::Filter, text: self.filter.text().to_owned() }]
            }
            Action::Cancel => acts::cancel(&self.chosen(ctx)),
            Action::Retry => acts::retry(&self.chosen(ctx)),
            Action::Note => {
                self.noting = self.list.selected().cloned();
                self.selected(ctx).map_or_else(Vec::new, |incident| acts::begin_note(incident))
            }
            _ => Vec::new(),
        }
    }

    fn typed(&mut self, purpose: Purpose, text: &str, typed: Typed, ctx: &Ctx) -> Result<Vec<Ask>, String> {
        match (purpose, typed) {
            (Purpose::Filter, Typed::Aborted) => {
                if let Some(before) = self.before.take() {
                    self.set_filter(before);
                }
            }
            (Purpose::Filter, _) => self.set_filter(Filter::parse(text)?),
            (Purpose::Note, Typed::Done) => {
                let incident = self.noting.as_ref().and_then(|uid| ctx.world.incidents.get(uid));
                let incident = incident.ok_or("the Incident is gone")?;
                return acts::note(incident, text, ctx);
            }
            _ => {}
        }
        Ok(Vec::new())
    }

    fn settle(&mut self, ctx: &Ctx) -> Vec<Ask> {
        let (order, filter) = (self.order, &self.filter);
        let incidents = &ctx.world.incidents;
        let changed = self.list.sync(incidents, |incident| filter.fits(incident).then(|| order.key(incident)));
        if changed && !self.marked.is_empty() {
            self.marked.retain(|uid| incidents.get(uid).is_some());
        }
        // Only what is on the screen is measured.
        let height = usize::from(view::split(self, ctx.body).0.height).min(MEASURED);
        let columns = view::columns(ctx);
        let (page, _) = self.list.page(height);
        for (_, uid) in page {
            if let Some(incident) = incidents.get(uid) {
                self.widths.see(&columns, &view::cells(ctx, incident));
            }
        }
        Vec::new()
    }

    fn tick(&self, ctx: &Ctx) -> Option<Duration> {
        let (page, _) = self.list.page(view::split(self, ctx.body).0.height.into());
        let ages = page.iter().filter_map(|(_, uid)| row::age(ctx.world.incidents.get(uid)?, ctx.now));
        ages.map(time::until_next_age).min()
    }

    fn draw(&self, ctx: &Ctx, frame: &mut Frame, area: Rect) {
        view::draw(self, ctx, frame, area);
    }
}
