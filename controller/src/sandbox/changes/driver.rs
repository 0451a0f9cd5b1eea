//! The task that owns the stream.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::CLOSE;
use super::book::{Book, Step};
use crate::audit::entry::{ChangeOrigin, ChangeResult};
use crate::gateway::protocol::{FromController, FromGateway, TOOK_OVER, VERSION};
use crate::sandbox::Ledger;
use crate::sandbox::dial::{Condition, Dial};
use crate::sandbox::stream::link::{Fault, First, Link, Peer};
use crate::sandbox::stream::{Identity, Patience};

/// Between two tries to open the stream, at most.
const BACK_OFF: Duration = Duration::from_secs(2);

/// How often a gateway that is gone is made anew in one session.
const MOST_RENEWALS: u32 = 3;
/// How often another stream may take over before it is no accident any more.
const MOST_OVERTAKEN: u32 = 16;
/// How long making it anew is tried each time.
const RENEWAL: Duration = Duration::from_mins(1);

/// Why nobody knows what came of a change that an earlier life of the gateway made.
const STARTED_AGAIN: &str = "the gateway ended in the middle of it and was started again";

/// `operator gateway` beside the agent's container.
pub(super) struct Gateway;

impl Peer for Gateway {
    const NAME: &'static str = "the gateway";
    const VERSION: u32 = VERSION;
    type Request = FromController;
    type Reply = FromGateway;

    fn hello(identity: &Identity) -> FromController {
        let Identity { session, epoch } = identity.clone();
        FromController::Hello { version: VERSION, session, epoch }
    }

    fn first(reply: &FromGateway) -> First<'_> {
        match reply {
            FromGateway::Hello { version, session, .. } => First::Hello(*version, session),
            FromGateway::Error { reason } => First::Refused(reason),
            _ => First::Other,
        }
    }
}

pub(super) struct Driver {
    dial: Arc<dyn Dial>,
    identity: Identity,
    patience: Patience,
    ledger: Arc<dyn Ledger>,
    orders: mpsc::Receiver<oneshot::Sender<()>>,
    book: Book,
    writes: JoinSet<Written>,
    boot: Option<u64>,
    renewals: u32,
    overtaken: u32,
    closing: Option<Closing>,
}

/// The ledger's word.
enum Written {
    Begun(u64, Result<i64, String>),
    Completed(u64, i64, Result<(), String>),
}

/// The session ends: who waits for that, and until when.
struct Closing {
    answer: oneshot::Sender<()>,
    until: Instant,
}

impl Driver {
    pub(super) async fn connect(
        dial: Arc<dyn Dial>,
        identity: Identity,
        patience: Patience,
        ledger: Arc<dyn Ledger>,
        orders: mpsc::Receiver<oneshot::Sender<()>>,
    ) -> Result<(Self, Link<Gateway>), String> {
        let mut driver = Self {
            dial,
            identity,
            patience,
            ledger,
            orders,
            book: Book::default(),
            writes: JoinSet::new(),
            boot: None,
            renewals: 0,
            overtaken: 0,
            closing: None,
        };
        let until = Instant::now() + driver.patience.hello;
        let link = driver.open(Some(until), "no stream could be opened".into()).await?;
        Ok((driver, link))
    }

    /// Serves until the session ends or the gateway is gone.
    pub(super) async fn drive(mut self, mut link: Link<Gateway>) {
        let reason = loop {
            match self.serve(&mut link).await {
                Ok(()) => break "the session ended before it was heard of again".to_owned(),
                Err(Fault::Hostile(reason)) => break reason,
                Err(Fault::Broken(reason)) => {
                    tracing::info!(session = self.identity.session, reason, "the gateway's stream is opened again");
                    let until = self.closing.as_ref().map(|closing| closing.until);
                    match self.open(until, reason).await {
                        Ok(new) => link = new,
                        Err(reason) => match self.renew(&reason).await {
                            Ok(new) => link = new,
                            Err(reason) => break reason,
                        },
                    }
                }
            }
        };
        self.end(&reason).await;
    }

    /// Opens the stream, until then, or for as long as somebody holds the handle and the container stands.
    async fn open(&mut self, until: Option<Instant>, mut reason: String) -> Result<Link<Gateway>, String> {
        let mut pause = Duration::from_millis(20);
        loop {
            let limit = self.patience.hello;
            let link = async {
                let pipe = self.dial.dial().await.map_err(Fault::Broken)?;
                Link::open(pipe, &self.identity, limit).await
            };
            match timeout(limit, link).await {
                Ok(Ok((link, hello))) => {
                    self.greeted(&hello).await;
                    return Ok(link);
                }
                Ok(Err(Fault::Hostile(reason))) => return Err(reason),
                Ok(Err(Fault::Broken(now))) => reason = now,
                Err(_) => "the gateway said no hello".clone_into(&mut reason),
            }
            if let Condition::Gone(how) = self.dial.look().await {
                return Err(how);
            }
            if until.is_some_and(|until| Instant::now() >= until) || self.orders.is_closed() {
                return Err(reason);
            }
            sleep(pause).await;
            pause = (pause * 2).min(BACK_OFF);
        }
    }

    /// Has another gateway made in the place of one that is gone, while the session wants one.
    async fn renew(&mut self, gone: &str) -> Result<Link<Gateway>, String> {
        if self.closing.is_some() || self.orders.is_closed() || self.renewals >= MOST_RENEWALS {
            return Err(gone.to_owned());
        }
        self.renewals += 1;
        tracing::warn!(session = self.identity.session, gone, "the gateway is gone: another one is made");
        self.settle(&format!("the gateway was gone in the middle of it ({gone}), and another one was made")).await;
        let (until, mut pause) = (Instant::now() + RENEWAL, Duration::from_millis(100));
        loop {
            let reason = match self.dial.renew().await {
                Ok(()) => match self.open(Some(Instant::now() + self.patience.hello), gone.to_owned()).await {
                    Ok(link) => return Ok(link),
                    Err(reason) => reason,
                },
                Err(reason) => reason,
            };
            if Instant::now() >= until || self.orders.is_closed() {
                return Err(format!("{gone}; it could not be made anew: {reason}"));
            }
            sleep(pause).await;
            pause = (pause * 2).min(BACK_OFF);
        }
    }

    /// A gateway that was started again knows nothing of what the one before did.
    async fn greeted(&mut self, hello: &FromGateway) {
        let FromGateway::Hello { boot, .. } = hello else { return };
        match self.boot.replace(*boot) {
            Some(before) if before == *boot => {}
            Some(_) => self.settle(STARTED_AGAIN).await,
            None => self.take_over(*boot).await,
        }
    }

    /// An earlier controller may have left changes open; this gateway knows those that are its own.
    async fn take_over(&mut self, boot: u64) {
        for (seq, origin) in self.ledger.left_open() {
            match origin {
                Some(origin) if origin.boot == boot => self.book.adopt(origin.id, seq),
                Some(_) => self.unknown(seq, STARTED_AGAIN).await,
                // Written before numbers were kept: the end of the session says that nobody knows.
                None => {}
            }
        }
    }

    /// Serves one connection until it breaks; `Ok` when the session ended.
    async fn serve(&mut self, link: &mut Link<Gateway>) -> Result<(), Fault> {
        let epoch = self.identity.epoch;
        if self.closing.is_some() {
            link.send(&FromController::Close { epoch }).await?;
        }
        let mut ticks = interval(self.patience.ping);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut nonce, mut heard) = (0, Instant::now());
        loop {
            let silent = heard + self.patience.silence;
            let give_up = self.closing.as_ref().map(|closing| closing.until);
            let step = tokio::select! {
                frame = link.next() => {
                    heard = Instant::now();
                    let frame = frame?;
                    if !frame.is_sound() {
                        return Err(Fault::Hostile("the gateway sent JSON that is nested too deep".into()));
                    }
                    match frame {
                        FromGateway::Begin { id, mut change } => {
                            change.origin = self.boot.map(|boot| ChangeOrigin { boot, id });
                            self.book.begin(id, change, epoch)
                        }
                        FromGateway::Done { id, result } => self.book.done(id, result),
                        FromGateway::Closed => {
                            // What it said before is still being written.
                            self.drain().await;
                            return Ok(());
                        }
                        FromGateway::Pong { .. } => Step::Wait,
                        FromGateway::Hello { .. } => return Err(Fault::Hostile("the gateway said hello twice".into())),
                        // One of our own that was given up because it said nothing in time, and that came through after
                        // all: an engine that has just been started makes streams slowly. The next one takes over again;
                        // whoever has a higher epoch would be told apart by its hello.
                        FromGateway::Error { reason } if reason == TOOK_OVER && self.overtaken < MOST_OVERTAKEN => {
                            self.overtaken += 1;
                            return Err(Fault::Broken(reason));
                        }
                        FromGateway::Error { reason } => {
                            return Err(Fault::Hostile(format!("the gateway refused the stream: {reason}")));
                        }
                    }
                }
                Some(Ok(written)) = self.writes.join_next() => self.written(written),
                order = self.orders.recv(), if self.closing.is_none() => match order {
                    // The handle was dropped without a close: the container goes.
                    None => return Ok(()),
                    Some(answer) => {
                        self.book.close();
                        self.closing = Some(Closing { answer, until: Instant::now() + CLOSE });
                        Step::Send(FromController::Close { epoch })
                    }
                },
                () = until(give_up) => return Ok(()),
                _ = ticks.tick() => {
                    nonce += 1;
                    Step::Send(FromController::Ping { nonce })
                }
                () = sleep_until(silent) => return Err(Fault::Broken("the gateway is silent".into())),
            };
            self.follow(step, link).await?;
        }
    }

    async fn follow(&mut self, step: Step, link: &mut Link<Gateway>) -> Result<(), Fault> {
        let ledger = self.ledger.clone();
        match step {
            Step::Wait => {}
            Step::Send(frame) => link.send(&frame).await?,
            Step::Begin(id, change) => {
                self.writes.spawn(async move { Written::Begun(id, ledger.begin(&change).await) });
            }
            Step::Complete(id, seq, result) => {
                self.writes.spawn(async move { Written::Completed(id, seq, ledger.complete(seq, &result).await) });
            }
        }
        Ok(())
    }

    fn written(&mut self, written: Written) -> Step {
        match written {
            Written::Begun(id, word) => self.book.begun(id, word, self.identity.epoch),
            Written::Completed(id, seq, word) => {
                if let Err(reason) = &word {
                    tracing::warn!(
                        session = self.identity.session,
                        entry = seq,
                        reason,
                        "what came of a change is not on record yet"
                    );
                }
                self.book.completed(id, seq, word.is_ok())
            }
        }
    }

    /// Waits for the ledger's words on what it was told, for a bounded time.
    async fn drain(&mut self) {
        let all = async {
            while let Some(written) = self.writes.join_next().await {
                if let Ok(written) = written {
                    self.written(written);
                }
            }
        };
        if timeout(CLOSE, all).await.is_err() {
            tracing::warn!(
                session = self.identity.session,
                "the audit store has not taken all that came of the changes"
            );
        }
    }

    /// Puts on record that nobody knows what came of the changes that were begun.
    async fn settle(&mut self, reason: &str) {
        self.drain().await;
        for seq in self.book.abandon() {
            self.unknown(seq, reason).await;
        }
    }

    async fn unknown(&self, seq: i64, reason: &str) {
        if let Err(reason) = self.ledger.complete(seq, &ChangeResult::unknown(reason)).await {
            tracing::warn!(
                session = self.identity.session,
                entry = seq,
                reason,
                "a change stays without its end on record"
            );
        }
    }

    async fn end(mut self, reason: &str) {
        // The handle was dropped without a close: the controller stops, or the container was given up. Who goes on
        // with the session is told by the gateway, or says that nobody knows.
        if self.closing.is_none() && self.orders.is_closed() {
            return;
        }
        self.settle(reason).await;
        if let Some(closing) = self.closing.take() {
            // Nobody may wait any more.
            let _ = closing.answer.send(());
        } else {
            tracing::error!(
                session = self.identity.session,
                reason,
                "the gateway is gone: the agent's Docker CLI does not work any more"
            );
        }
    }
}

async fn until(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}
