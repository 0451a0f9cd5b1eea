//! Sends what receivers are to be told: one request at a time to each, all of them side by side.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;
use reqwest::Url;
use serde_json::Value;
use tokio::task::JoinSet;

use super::Notice;
use super::book::{Book, Due, Step};
use super::wanted::Wanted;
use super::words::{REFRESH, Voice};
use crate::config::notices::{Kind, Receiver};
use crate::error::chain;
use crate::metrics::Metrics;
use crate::printable::short_line;

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Requests to a webhook at the same time.
const AT_ONCE: usize = 4;
/// Of what a receiver answers.
const ANSWER: usize = 200;

/// Masks secrets in what is said of a notice.
pub type Clean = Arc<dyn Fn(&Notice, &str) -> String + Send + Sync>;
/// Whether this process may still speak, or why not.
pub type May = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Sends to all receivers.
pub struct Courier {
    lines: Vec<Line>,
    sending: JoinSet<Sent>,
    common: Arc<Common>,
}

struct Line {
    receiver: Arc<Receiver>,
    book: Book,
    /// What is under way.
    away: BTreeSet<String>,
}

struct Common {
    client: reqwest::Client,
    installation: String,
    clean: Clean,
    may: May,
    metrics: Arc<Metrics>,
}

/// What came of one request, or of several.
struct Sent {
    line: usize,
    results: Vec<(Due, Result<(), String>)>,
}

/// Something that a receiver was told, or was not.
#[derive(Clone, Debug)]
pub struct Happened {
    /// Who.
    pub receiver: String,
    /// What.
    pub notice: Notice,
    /// How.
    pub step: Step,
    /// Why not.
    pub why: Option<String>,
}

impl Courier {
    /// For these receivers.
    ///
    /// # Errors
    /// That there can be no HTTP client.
    pub fn new(
        receivers: &[Receiver],
        installation: &str,
        clean: Clean,
        may: May,
        metrics: Arc<Metrics>,
    ) -> Result<Self, String> {
        let client = reqwest::Client::builder().timeout(LIMIT).redirect(reqwest::redirect::Policy::none());
        let client = client.build().map_err(|error| format!("no HTTP client: {}", chain(&error)))?;
        let line = |receiver: &Receiver| Line {
            receiver: Arc::new(receiver.clone()),
            book: Book::new((receiver.kind == Kind::Alertmanager).then_some(REFRESH)),
            away: BTreeSet::new(),
        };
        Ok(Self {
            lines: receivers.iter().map(line).collect(),
            sending: JoinSet::new(),
            common: Arc::new(Common { client, installation: installation.to_owned(), clean, may, metrics }),
        })
    }

    /// A receiver was told of this before this process began.
    pub fn restore(&mut self, receiver: &str, notice: &Notice) {
        for line in self.lines.iter_mut().filter(|line| line.receiver.name == receiver) {
            line.book.restore(notice.clone(), Instant::now());
        }
    }

    /// Takes in how things stand, and begins to send what is new.
    pub fn look(&mut self, wanted: &Wanted) {
        let (now, at) = (Instant::now(), Timestamp::now());
        for (number, line) in self.lines.iter_mut().enumerate() {
            let due = line.book.look(wanted, &line.away, now, at);
            if due.is_empty() || !line.away.is_empty() {
                continue;
            }
            line.away = due.iter().map(|due| due.key.clone()).collect();
            let (common, receiver) = (self.common.clone(), line.receiver.clone());
            self.sending.spawn(async move { Sent { line: number, results: common.send(&receiver, due).await } });
        }
    }

    /// How many notices wait to arrive.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lines.iter().map(|line| line.book.waiting()).sum()
    }

    /// What came of what was sent; waits for ever while nothing is under way.
    pub async fn next(&mut self) -> Vec<Happened> {
        let Some(sent) = self.sending.join_next().await else { return std::future::pending().await };
        let Ok(Sent { line, results }) = sent else {
            // A task that broke off is not known by its number: all lines look anew.
            self.lines.iter_mut().for_each(|line| line.away.clear());
            return Vec::new();
        };
        let Some(line) = self.lines.get_mut(line) else { return Vec::new() };
        line.away.clear();
        let mut happened = Vec::new();
        for (due, result) in results {
            let Some(step) = line.book.sent(&due, result.is_ok(), Instant::now()) else { continue };
            let category = match step {
                Step::Told => "told",
                Step::Refreshed => "refreshed",
                Step::Ended => "ended",
                Step::Failed | Step::FailedAgain => "failed",
            };
            Metrics::count(&self.common.metrics.notices, category);
            let receiver = line.receiver.name.clone();
            happened.push(Happened { receiver, notice: due.notice, step, why: result.err() });
        }
        happened
    }
}

impl Common {
    async fn send(&self, receiver: &Receiver, due: Vec<Due>) -> Vec<(Due, Result<(), String>)> {
        let clean = |notice: &Notice, text: &str| (self.clean)(notice, text);
        let voice = Voice { installation: &self.installation, clean: &clean };
        match receiver.kind {
            Kind::Alertmanager => {
                let now = Timestamp::now();
                let alerts: Vec<Value> = due.iter().map(|due| voice.alert(due, now)).collect();
                let result = self.post(receiver, alerts_at(&receiver.url), &Value::Array(alerts)).await;
                due.into_iter().map(|due| (due, result.clone())).collect()
            }
            Kind::Webhook => {
                let bodies: Vec<(Due, Value)> = due
                    .into_iter()
                    .map(|due| {
                        let body = voice.body(&due);
                        (due, body)
                    })
                    .collect();
                let one = async |(due, body): (Due, Value)| {
                    let result = self.post(receiver, receiver.url.clone(), &body).await;
                    (due, result)
                };
                stream::iter(bodies).map(one).buffered(AT_ONCE).collect().await
            }
        }
    }

    async fn post(&self, receiver: &Receiver, url: Url, body: &Value) -> Result<(), String> {
        let mut request = self.client.post(url).json(body);
        for header in &receiver.headers {
            request = request.header(header.header.clone(), header.value()?);
        }
        (self.may)()?;
        // The address stands in the configuration, and may hold what is nobody's business.
        let answer = request.send().await.map_err(|error| short_line(&chain(&error.without_url()), ANSWER))?;
        if answer.status().is_success() {
            return Ok(());
        }
        let status = answer.status();
        let mut said = String::new();
        let mut stream = answer.bytes_stream();
        while let Some(Ok(piece)) = stream.next().await {
            said.push_str(&String::from_utf8_lossy(&piece));
            if said.len() > 4 * ANSWER {
                break;
            }
        }
        let said = short_line(&said, ANSWER);
        Err(if said.is_empty() { format!("it answered {status}") } else { format!("it answered {status}: {said}") })
    }
}

/// Where an Alertmanager takes alerts.
fn alerts_at(url: &Url) -> Url {
    let mut url = url.clone();
    let path = format!("{}/api/v2/alerts", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
