//! An engine for tests of what does faults: it remembers what it was asked to do, and does as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{ContainerView, Done, Error, Faults, Key, Outcome, Plan, ProjectView};
use crate::sandbox::NetworkRef;

/// An engine on which everything works, until it is told otherwise.
#[derive(Clone, Default)]
pub struct FakeFaults(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    projects: BTreeMap<String, ProjectView>,
    calls: Vec<String>,
    standing: BTreeSet<String>,
    outcomes: BTreeMap<String, Outcome>,
    fails: BTreeMap<String, Error>,
    unavailable: bool,
}

impl FakeFaults {
    /// With a project of these services, each of which runs.
    #[must_use]
    pub fn with(project: &str, services: &[&str]) -> Self {
        let fake = Self::default();
        let containers = services.iter().zip(2_u8..).map(|(service, number)| ContainerView {
            id: format!("{project}-{service}-id"),
            name: format!("{project}-{service}-1"),
            service: (*service).to_owned(),
            number: 1,
            state: super::view::State::Running,
            started_at: "2026-01-01T00:00:00Z".into(),
            image: "sha256:1".into(),
            own_network: true,
            addresses: vec![std::net::Ipv4Addr::new(10, 0, 0, number).into()],
            ..ContainerView::default()
        });
        let network = NetworkRef { id: format!("{project}-network"), name: format!("{project}_default") };
        let view =
            ProjectView { project: project.to_owned(), networks: vec![network], containers: containers.collect() };
        fake.all().projects.insert(project.to_owned(), view);
        fake
    }

    fn all(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that was done and undone, in order: `act kill node2`, `undo kill node2`.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.all().calls.clone()
    }

    /// What was done and is not undone, by the words of its plan.
    #[must_use]
    pub fn standing(&self) -> Vec<String> {
        self.all().standing.iter().cloned().collect()
    }

    /// What came of this one, said by its words, whatever was done.
    pub fn came_of(&self, says: &str, outcome: Outcome) {
        self.all().outcomes.insert(says.to_owned(), outcome);
    }

    /// This one does not work from now on.
    pub fn fails(&self, says: &str, error: Error) {
        self.all().fails.insert(says.to_owned(), error);
    }

    /// The engine goes, or comes back.
    pub fn unavailable(&self, unavailable: bool) {
        self.all().unavailable = unavailable;
    }

    fn answering(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.all();
        if state.unavailable {
            return Err(Error::Unavailable("it is told to be".into()));
        }
        Ok(state)
    }
}

#[async_trait]
impl Faults for FakeFaults {
    async fn look(&self, project: &str) -> Result<ProjectView, Error> {
        let view = self.answering()?.projects.get(project).cloned();
        Ok(view.unwrap_or_else(|| ProjectView { project: project.to_owned(), ..ProjectView::default() }))
    }

    async fn act(&self, _: &Key, plan: &Plan) -> Result<Done, Error> {
        let mut state = self.answering()?;
        state.calls.push(format!("act {}", plan.says));
        if let Some(error) = state.fails.get(&plan.says) {
            return Err(error.clone());
        }
        if plan.undo.is_some() {
            state.standing.insert(plan.says.clone());
        }
        Ok(Done::default())
    }

    async fn outcome(&self, _: &Key, plan: &Plan) -> Result<Outcome, Error> {
        let state = self.answering()?;
        let done = state.calls.contains(&format!("act {}", plan.says));
        let outcome = state.outcomes.get(&plan.says).cloned();
        Ok(outcome.unwrap_or(if done { Outcome::Done(Done::default()) } else { Outcome::NotBegun }))
    }

    async fn undo(&self, _: &Key, plan: &Plan) -> Result<(), Error> {
        let mut state = self.answering()?;
        state.calls.push(format!("undo {}", plan.says));
        state.standing.remove(&plan.says);
        Ok(())
    }

    async fn sweep(&self, _: Option<&str>, _: &[Key]) -> Result<usize, Error> {
        self.answering().map(|_| 0)
    }
}
