//! `ratelimiter load`: a steady load, whatever the answers are.
//!
//! The pace does not wait for answers (a slow service gets no mercy), nothing is repeated, and after
//! a pause nothing is made up for: the numbers say what a client would have seen.

mod ask;
mod seconds;
mod view;
mod witness;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::cli::{LoadArgs, StartError};
use crate::shutdown::until;
use ask::{Answer, Client};
use seconds::Report;
use view::View;

/// Runs the load until `stop` is ready or the duration is over.
pub async fn load(args: LoadArgs, stop: impl Future<Output = ()>) -> Result<(), StartError> {
    let args = checked(args)?;
    let listener =
        TcpListener::bind(&args.listen).await.map_err(|error| StartError::Listen(args.listen.clone(), error))?;
    let timeout = Duration::from_millis(args.timeout_ms);
    let client = Client::new(args.targets.clone(), timeout).map_err(StartError::Client)?;
    let view = Arc::new(View::new(&args.keys, &args.targets));
    let router: Router = view::router(Arc::clone(&view));

    let client = Arc::new(client);
    let limits = tokio::spawn(witness::follow_limits(Arc::clone(&client), Arc::clone(&view), args.keys.clone()));
    let reporter = tokio::spawn(report(Arc::clone(&view)));
    let sender = tokio::spawn(send(args.clone(), client, Arc::clone(&view)));
    tracing::info!(rate = args.rate, targets = ?args.targets, "sending");

    let over = async {
        match args.duration_s {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    let stop = async {
        tokio::select! { () = stop => {}, () = over => {} }
    };
    let served = until(listener, router, stop).await;
    for task in [sender, limits, reporter] {
        task.abort();
    }
    if args.duration_s.is_some() {
        print(&view.total().to_json("total"));
    }
    served.map_err(StartError::Serve)
}

fn checked(args: LoadArgs) -> Result<LoadArgs, StartError> {
    if !(args.rate > 0.0 && args.rate <= 100_000.0) {
        let text = format!("must be above 0 and at most 100000, not {}", args.rate);
        return Err(StartError::Setting("rate", text));
    }
    for key in &args.keys {
        crate::limits::check_key(key).map_err(|error| StartError::Setting("keys", error.to_string()))?;
    }
    for target in &args.targets {
        if !target.starts_with("http://") || reqwest::Url::parse(target).is_err() {
            let text = format!("{target:?} is not a URL that begins with http://");
            return Err(StartError::Setting("targets", text));
        }
    }
    if args.max_in_flight == 0 {
        let text = "must be at least 1".to_owned();
        return Err(StartError::Setting("max-in-flight", text));
    }
    Ok(args)
}

async fn send(args: LoadArgs, client: Arc<Client>, view: Arc<View>) {
    let slots = Arc::new(Semaphore::new(args.max_in_flight));
    let pause = Duration::from_secs_f64(1.0 / args.rate).max(Duration::from_millis(1));
    let mut due = Due::new(args.rate);
    let mut keys = args.keys.iter().cycle();
    loop {
        for _ in 0..due.now(Instant::now()) {
            let Some(key) = keys.next().cloned() else {
                return;
            };
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                view.note(&Answer::overrun(), None);
                continue;
            };
            let (client, view) = (Arc::clone(&client), Arc::clone(&view));
            tokio::spawn(async move {
                let answer = client.check(&key).await;
                view.note(&answer, Some(&key));
                drop(slot);
            });
        }
        tokio::time::sleep(pause).await;
    }
}

// How many requests are due: the rate times the time, but never more than a tenth of a second's worth
// at once, so that a process that was paused does not come back with a flood.
struct Due {
    rate: f64,
    last: Instant,
    left: f64,
}

impl Due {
    fn new(rate: f64) -> Self {
        Self { rate, last: Instant::now(), left: 0.0 }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small and not negative
    fn now(&mut self, now: Instant) -> u32 {
        let passed = now.duration_since(self.last).as_secs_f64();
        self.last = now;
        self.left = (self.left + passed * self.rate).min((self.rate / 10.0).max(1.0));
        let whole = self.left.floor();
        self.left -= whole;
        whole as u32
    }
}

async fn report(view: Arc<View>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let report: Report = view.close_second();
        print(&report.to_json("second"));
    }
}

// A reader that has gone away must not end the load.
fn print(line: &serde_json::Value) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_kept_and_nothing_is_made_up_for() {
        let mut due = Due::new(100.0);
        let start = due.last;
        let sent: u32 = (1..=1000).map(|ms| due.now(start + Duration::from_millis(ms))).sum();
        assert!((99..=100).contains(&sent), "{sent}");
        let after_a_minute = due.now(start + Duration::from_secs(61));
        assert_eq!(after_a_minute, 10);
    }

    #[test]
    fn a_slow_rate_still_sends() {
        let mut due = Due::new(0.5);
        let start = due.last;
        let sent: u32 = (1..=10).map(|s| due.now(start + Duration::from_secs(2 * s))).sum();
        assert_eq!(sent, 10);
    }
}
