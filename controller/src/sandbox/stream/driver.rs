//! The task that owns the stream.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::link::{Fault, Link, Supervisor};
use super::pending::Pending;
use super::{Ask, Identity, Patience};
use crate::sandbox::dial::{Condition, Dial};
use crate::supervisor::protocol::{Reply, Request};

/// Between two tries to open the stream, at most.
const BACK_OFF: Duration = Duration::from_secs(2);

pub(super) struct Driver {
    dial: Arc<dyn Dial>,
    identity: Identity,
    patience: Patience,
    asks: mpsc::Receiver<Ask>,
    lost: watch::Sender<Option<String>>,
    pending: Pending,
}

/// Why the task ends.
enum End {
    /// Nobody asks any more.
    Dropped,
    Lost(String),
}

impl Driver {
    /// The first connection of a container that was just made (or found).
    pub(super) async fn connect(
        dial: Arc<dyn Dial>,
        identity: Identity,
        patience: Patience,
        asks: mpsc::Receiver<Ask>,
        lost: watch::Sender<Option<String>>,
    ) -> Result<(Self, Link<Supervisor>), String> {
        let driver = Self { dial, identity, patience, asks, lost, pending: Pending::default() };
        let limit = driver.patience.hello;
        match driver.open(limit, "no stream could be opened".into()).await {
            Ok(link) => Ok((driver, link)),
            Err(End::Lost(reason)) => Err(reason),
            Err(End::Dropped) => Err("its stream was dropped".into()),
        }
    }

    /// Serves until nobody asks any more or the container is lost.
    pub(super) async fn drive(mut self, mut link: Link<Supervisor>) {
        let end = loop {
            match self.serve(&mut link).await {
                Ok(()) => break End::Dropped,
                Err(Fault::Hostile(reason)) => break End::Lost(reason),
                Err(Fault::Broken(reason)) => {
                    tracing::info!(session = self.identity.session, reason, "the supervisor's stream is opened again");
                    match self.open(self.patience.reattach, reason).await {
                        Ok(new) => link = new,
                        Err(end) => break end,
                    }
                }
            }
        };
        if let End::Lost(reason) = end {
            self.lost.send_replace(Some(reason));
        }
    }

    /// Opens the stream, until `limit` passed or the container is known to be gone.
    async fn open(&self, limit: Duration, mut reason: String) -> Result<Link<Supervisor>, End> {
        let until = Instant::now() + limit;
        let mut pause = Duration::from_millis(20);
        while Instant::now() < until {
            if self.asks.is_closed() {
                return Err(End::Dropped);
            }
            let left = until - Instant::now();
            let link = async {
                let pipe = self.dial.dial().await.map_err(Fault::Broken)?;
                Link::open(pipe, &self.identity, left).await
            };
            match timeout(left, link).await {
                Ok(Ok((link, _))) => return Ok(link),
                Ok(Err(Fault::Hostile(reason))) => return Err(End::Lost(reason)),
                Ok(Err(Fault::Broken(now))) => reason = now,
                Err(_) => reason = "the supervisor said no hello".into(),
            }
            if let Condition::Gone(how) = self.dial.look().await {
                return Err(End::Lost(how));
            }
            sleep(pause).await;
            pause = (pause * 2).min(BACK_OFF);
        }
        Err(End::Lost(format!("{reason}; tried for {} s", limit.as_secs())))
    }

    /// Serves one connection until it breaks; `Ok` when nobody asks any more.
    async fn serve(&mut self, link: &mut Link<Supervisor>) -> Result<(), Fault> {
        for request in self.pending.again(self.identity.epoch) {
            link.send(&request).await?;
        }
        let mut ticks = interval(self.patience.ping);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut nonce, mut heard) = (0, Instant::now());
        loop {
            let silent = heard + self.patience.silence;
            tokio::select! {
                reply = link.next() => {
                    heard = Instant::now();
                    match reply? {
                        Reply::Pong { nonce: back } if back > nonce => {
                            return Err(Fault::Hostile("the supervisor answered a ping that was never sent".into()));
                        }
                        reply => if let Some(request) = self.take(reply)? {
                            link.send(&request).await?;
                        },
                    }
                }
                ask = self.asks.recv() => match ask {
                    None => return Ok(()),
                    Some(ask) => if let Some(request) = self.register(ask) {
                        link.send(&request).await?;
                    },
                },
                _ = ticks.tick() => {
                    nonce += 1;
                    link.send(&Request::Ping { nonce }).await?;
                    if let Some(seq) = self.pending.overdue() {
                        self.judge(&format!("the supervisor never reported the end of command {seq}")).await?;
                    }
                }
                () = tokio::time::sleep_until(silent) => {
                    self.judge("the supervisor is silent").await?;
                    heard = Instant::now();
                }
            }
        }
    }

    /// Nothing came: that is fine only if the container is paused.
    async fn judge(&mut self, what: &str) -> Result<(), Fault> {
        match self.dial.look().await {
            Condition::Paused => {
                self.pending.postpone(self.patience.overdue);
                Ok(())
            }
            Condition::Gone(how) => Err(Fault::Hostile(how)),
            Condition::Running if self.pending.overdue().is_some() => Err(Fault::Hostile(what.to_owned())),
            Condition::Running | Condition::Unknown(_) => Err(Fault::Broken(what.to_owned())),
        }
    }

    fn register(&mut self, ask: Ask) -> Option<Request> {
        let epoch = self.identity.epoch;
        match ask {
            Ask::Run { command, answer } => self.pending.run(command, answer, epoch, self.patience.overdue),
            Ask::Recover { command, answer } => self.pending.recover(command, answer, self.patience.overdue),
            Ask::Kill { seq, answer } => Some(self.pending.kill(seq, answer, epoch)),
        }
    }

    /// Takes a reply in and returns what is to be asked next.
    fn take(&mut self, reply: Reply) -> Result<Option<Request>, Fault> {
        let taken = match reply {
            Reply::Started { seq } => self.pending.started(seq).map(|()| None),
            Reply::Output { seq, stream, data, .. } => self.pending.output(seq, stream, &data).map(|()| None),
            Reply::Finished(outcome) => self.pending.finished(*outcome).map(|()| None),
            Reply::Refused { seq, reason, state } => self.pending.refused(seq, reason, state, self.identity.epoch),
            Reply::Killing { seq, .. } => self.pending.killing(seq).map(|()| None),
            Reply::Pong { .. } => Ok(None),
            Reply::Hello { .. } => Err("the supervisor said hello twice".into()),
            Reply::Bye => Err("the supervisor ended".into()),
            Reply::Error { reason } => Err(format!("the supervisor refused the stream: {reason}")),
        };
        taken.map_err(Fault::Hostile)
    }
}
