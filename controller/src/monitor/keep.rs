//! Keeps a Subject's observer: makes it, follows what it says, starts it again when it died, and says what is wrong.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc, watch};

use super::backoff::Backoff;
use super::lines::{Heard, Lines};
use super::observers::{ObserverSpec, Observers, Said, Standing, Survey, Words};
use super::watched::Observed;
use crate::metrics::Metrics;
use crate::printable::short_line;
use crate::sandbox::SandboxError;
use crate::sandbox::dial::Condition;

/// Silence after which what an observer said before is all heard.
const QUIET: Duration = Duration::from_secs(1);
/// Between two looks at a container of which the engine says nothing.
const LOOK: Duration = Duration::from_secs(2);

/// What is heard of a Subject.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// A round.
    Round(Heard),
    /// What the observer said before this controller came is all heard, or there is nothing of that.
    Live,
}

/// What is said of the observer.
#[derive(Clone, Debug, PartialEq)]
pub struct Keeping {
    /// Whether it looks.
    pub observed: Observed,
    /// Its container.
    pub standing: Option<Standing>,
}

/// The last look at the engine; an error is its sentence.
pub type Surveyed = watch::Receiver<Option<Result<Arc<Survey>, SandboxError>>>;

/// What it takes to keep an observer.
pub struct Keeper {
    /// The engine.
    pub observers: Arc<dyn Observers>,
    /// How many observers are made at once.
    pub making: Arc<Semaphore>,
    /// What stands on the engine.
    pub survey: Surveyed,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// What it is to be.
    pub spec: ObserverSpec,
    /// Where rounds go. When there is no room the observer's log waits.
    pub heard: mpsc::Sender<Piece>,
    /// What is said of it.
    pub keeping: watch::Sender<Keeping>,
}

/// Why what an observer says came to an end.
enum End {
    /// The engine broke it off, or the container did.
    Broken,
    /// The project has no networks any more.
    Gone,
    /// Nobody hears any more.
    Deaf,
}

impl Keeper {
    /// Keeps it until it is dropped, beginning with what it said since then.
    pub async fn run(mut self, since: Timestamp) {
        let mut backoff = Backoff::default();
        let mut course = Course { since, last: HashMap::new(), live: false };
        loop {
            if self.is_project_gone() {
                self.gone(&mut course).await;
            }
            let standing = match self.ensure().await {
                Ok(standing) => standing,
                Err(error) => {
                    self.say(Observed::not(error.category(), short_line(&error.to_string(), 500)), None);
                    if self.alive(&mut course).await.is_err() {
                        return;
                    }
                    self.pause(backoff.failed(Duration::ZERO)).await;
                    continue;
                }
            };
            let begun = Instant::now();
            self.say(
                Observed {
                    status: crds::condition::ConditionStatus::True,
                    reason: "Observing",
                    message: format!("the observer {} looks at the Subject", standing.name),
                },
                Some(standing.clone()),
            );
            let ended = self.hear(&standing, &mut course).await;
            match ended {
                End::Deaf => return,
                End::Gone => {}
                End::Broken => {
                    if let Some(wait) = self.fallen(&standing, begun.elapsed(), &mut backoff).await {
                        self.pause(wait).await;
                    }
                }
            }
        }
    }

    async fn ensure(&self) -> Result<Standing, SandboxError> {
        // It is never closed.
        let _place = self.making.acquire().await.ok();
        self.observers.ensure(&self.spec).await
    }

    /// Follows an observer until that ends.
    async fn hear(&mut self, standing: &Standing, course: &mut Course) -> End {
        let since = course.since();
        let mut words = match self.observers.follow(&standing.name, since).await {
            Ok(words) => words,
            Err(error) => {
                tracing::debug!(observer = standing.name, %error, "an observer cannot be heard");
                tokio::time::sleep(LOOK).await;
                return End::Broken;
            }
        };
        let begun = Timestamp::now();
        let mut lines = Lines::default();
        // Not counted anew by what else happens here: an observer may be quiet for long.
        let mut quiet = tokio::time::Instant::now() + QUIET;
        loop {
            let said = tokio::select! {
                said = next(&mut words, quiet, course.live) => said,
                changed = self.survey.changed() => {
                    if changed.is_err() { return End::Deaf }
                    if self.is_project_gone() { return End::Gone }
                    continue;
                }
            };
            quiet = tokio::time::Instant::now() + QUIET;
            match said {
                Next::Quiet => {
                    if self.alive(course).await.is_err() {
                        return End::Deaf;
                    }
                }
                Next::Said(Said::Err(_)) => {}
                Next::Said(Said::Out(bytes)) => {
                    let heard = lines.take(&bytes);
                    self.metrics.observer_bad_lines.inc_by(lines.bad());
                    for heard in heard {
                        if course.is_old(&heard) {
                            continue;
                        }
                        if heard.round.at >= begun && self.alive(course).await.is_err() {
                            return End::Deaf;
                        }
                        if self.heard.send(Piece::Round(heard)).await.is_err() {
                            return End::Deaf;
                        }
                    }
                }
                Next::End => return End::Broken,
            }
        }
    }

    /// What has become of an observer that is not heard any more. The wait before it is started again, if it died.
    async fn fallen(&self, standing: &Standing, ran: Duration, backoff: &mut Backoff) -> Option<Duration> {
        loop {
            match self.observers.look(&standing.name).await {
                (Condition::Running | Condition::Paused, _) => return None,
                (Condition::Gone(how), words) => {
                    self.metrics.observer_restarts.inc();
                    let wait = backoff.failed(ran);
                    let mut message = match backoff.failures {
                        1 => how,
                        often => format!("{how}, {often} times one after the other"),
                    };
                    if !words.is_empty() {
                        message = format!("{message}; its last words: {words}");
                    }
                    tracing::warn!(observer = standing.name, message, "an observer died and is started again");
                    self.say(Observed::not("ObserverDied", short_line(&message, 500)), None);
                    return Some(wait);
                }
                (Condition::Unknown(reason), _) => {
                    self.say(Observed::not("EngineUnavailable", short_line(&reason, 500)), Some(standing.clone()));
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
    }

    /// The project is gone from the engine: its observer goes, too, and is wanted again when the project is back.
    async fn gone(&mut self, course: &mut Course) {
        let error = SandboxError::ProjectNotRunning { project: self.spec.project.clone() };
        self.say(Observed::not(error.category(), error.to_string()), None);
        if let Err(error) = self.observers.remove_all(&self.spec.uid).await {
            tracing::debug!(%error, "an observer of a project that is gone could not be removed");
        }
        // Deaf or not: whoever hears nothing any more drops this.
        let _ = self.alive(course).await;
        while self.is_project_gone() {
            if self.survey.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Waits, but not while what it waits for is there already.
    async fn pause(&mut self, wait: Duration) {
        let was_gone = self.is_project_gone();
        let back = async {
            while !was_gone || self.is_project_gone() {
                if self.survey.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let _ = tokio::time::timeout(wait, back).await;
    }

    /// Whether the engine said, when it was last asked, that the project has no networks.
    fn is_project_gone(&self) -> bool {
        match &*self.survey.borrow() {
            Some(Ok(survey)) => !survey.projects.contains_key(&self.spec.project),
            _ => false,
        }
    }

    /// Says once that what comes now is news.
    async fn alive(&self, course: &mut Course) -> Result<(), mpsc::error::SendError<Piece>> {
        if std::mem::replace(&mut course.live, true) {
            return Ok(());
        }
        self.heard.send(Piece::Live).await
    }

    fn say(&self, observed: Observed, standing: Option<Standing>) {
        self.keeping.send_if_modified(|keeping| {
            let new = Keeping { observed, standing };
            let changed = *keeping != new;
            *keeping = new;
            changed
        });
    }
}

/// How far an observer has been heard.
struct Course {
    since: Timestamp,
    /// When each probe's last round began.
    last: HashMap<String, Timestamp>,
    live: bool,
}

impl Course {
    /// From where on to follow: a container that is heard again says some of it twice.
    fn since(&self) -> Timestamp {
        self.last.values().min().copied().unwrap_or(self.since).max(self.since)
    }

    /// Whether this round was heard before.
    fn is_old(&mut self, heard: &Heard) -> bool {
        let (probe, at) = (&heard.round.probe, heard.round.at);
        match self.last.get_mut(probe) {
            Some(last) if at <= *last => true,
            Some(last) => {
                *last = at;
                false
            }
            None => {
                // What an observer invents is not remembered without end.
                if self.last.len() < 64 {
                    self.last.insert(probe.clone(), at);
                }
                false
            }
        }
    }
}

enum Next {
    Said(Said),
    Quiet,
    End,
}

async fn next(words: &mut Words, quiet: tokio::time::Instant, live: bool) -> Next {
    let said = if live {
        words.next().await
    } else {
        match tokio::time::timeout_at(quiet, words.next()).await {
            Ok(said) => said,
            Err(_) => return Next::Quiet,
        }
    };
    match said {
        Some(Ok(said)) => Next::Said(said),
        Some(Err(_)) | None => Next::End,
    }
}
