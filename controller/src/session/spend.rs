//! What models cost the installation a day, and its limit.
//!
//! [`Metered`] stands before a session's models, the small one too. Before a call its worst case is
//! reserved in the audit store, after it what it really cost is put there. A reservation that is
//! never settled (the controller ended in the call, the connection broke inside of the answer) counts
//! in full: money that may have been spent was spent. Days are those of UTC, by the database's clock.

pub mod fake;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::audit::postgres::SpendToday;
use crate::audit::{AuditError, PostgresStore};
use crate::json;
use crate::metrics::Metrics;
use crate::model::{ErrorKind, Model, ModelError, ModelEvent, ModelMessage, ModelRequest, OnEvent, PriceTable};
use crate::money::NanoDollars;
use crate::session::SessionId;

/// Between two tries to reach the store.
const RETRY: Duration = Duration::from_millis(500);
/// How often settling is tried; left unsettled, a call counts in full.
const SETTLE_TRIES: u32 = 3;

/// Where the day's sum is kept.
#[async_trait]
pub trait SpendStore: Send + Sync + 'static {
    /// Reserves the worst case of a call; false if the limit has no room for it. The same call again is
    /// answered as the first time.
    async fn reserve(
        &self,
        session: &SessionId,
        call: &str,
        amount: NanoDollars,
        limit: Option<NanoDollars>,
    ) -> Result<(bool, SpendToday), AuditError>;

    /// Puts what a call cost in the place of its worst case, once. Today's sum after it.
    async fn settle(&self, session: &SessionId, call: &str, amount: NanoDollars) -> Result<NanoDollars, AuditError>;

    /// What today's calls cost so far.
    async fn today(&self) -> Result<SpendToday, AuditError>;
}

#[async_trait]
impl SpendStore for PostgresStore {
    async fn reserve(
        &self,
        session: &SessionId,
        call: &str,
        amount: NanoDollars,
        limit: Option<NanoDollars>,
    ) -> Result<(bool, SpendToday), AuditError> {
        self.reserve_spend(session, call, amount, limit).await
    }

    async fn settle(&self, session: &SessionId, call: &str, amount: NanoDollars) -> Result<NanoDollars, AuditError> {
        self.settle_spend(session, call, amount).await
    }

    async fn today(&self) -> Result<SpendToday, AuditError> {
        self.spend_today().await
    }
}

/// The installation's spending: its store, its limit, its prices.
#[derive(Clone)]
pub struct Spending {
    /// Where the sum is kept.
    pub store: Arc<dyn SpendStore>,
    /// The limit of a day; none if there is none.
    pub per_day: Option<NanoDollars>,
    /// What tokens cost.
    pub prices: PriceTable,
    /// Where the sum is shown.
    pub metrics: Arc<Metrics>,
}

impl Spending {
    /// A session's model, with its calls on account.
    #[must_use]
    pub fn meter(&self, model: Arc<dyn Model>, session: &SessionId) -> Arc<dyn Model> {
        Arc::new(Metered { model, spending: self.clone(), session: session.clone(), last: Mutex::default() })
    }

    /// Why no session can begin now, if the day's limit is used up, in a sentence that says when it can.
    pub async fn used_up(&self) -> Result<Option<String>, AuditError> {
        let Some(limit) = self.per_day else { return Ok(None) };
        let today = self.store.today().await?;
        self.metrics.spend_day.set(today.spent.0);
        Ok((today.spent >= limit).then(|| sentence(limit, today)))
    }
}

/// What is told when the limit is met.
fn sentence(limit: NanoDollars, today: SpendToday) -> String {
    let next = today.next_day.strftime("%Y-%m-%d %H:%M UTC");
    format!(
        "the installation's limit of {limit} a day (budgets.dollarsPerDay) is used up: {} are spent or reserved today; \
         it goes on at {next}",
        today.spent
    )
}

/// What the last call of a conversation measured: its bytes, and its tokens by the API's count.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    bytes: u64,
    tokens: u64,
}

struct Metered {
    model: Arc<dyn Model>,
    spending: Spending,
    session: SessionId,
    last: Mutex<Measured>,
}

impl Metered {
    /// Reserves for one attempt and gives its name. Waits for a store that is away.
    async fn reserve(&self, worst: NanoDollars, cancel: &CancellationToken) -> Result<String, ModelError> {
        let call = format!("{:016x}", rand::random::<u64>());
        loop {
            let limit = self.spending.per_day;
            match self.spending.store.reserve(&self.session, &call, worst, limit).await {
                Ok((granted, today)) => {
                    self.spending.metrics.spend_day.set(today.spent.0);
                    if granted {
                        return Ok(call);
                    }
                    let why = sentence(limit.unwrap_or_default(), today);
                    return Err(ModelError::new(ErrorKind::DailyBudget, format!("{why}; this call may cost {worst}")));
                }
                Err(error) if error.is_transient() => {
                    tracing::debug!(session = %self.session, error = crate::error::chain(&error), "the cost of a call waits for the store");
                    cancel
                        .run_until_cancelled(tokio::time::sleep(RETRY))
                        .await
                        .ok_or_else(|| ModelError::new(ErrorKind::Cancelled, ""))?;
                }
                Err(error) => return Err(ModelError::new(ErrorKind::Unrecorded, crate::error::chain(&error))),
            }
        }
    }

    async fn settle(&self, call: &str, cost: NanoDollars) {
        for _ in 0..SETTLE_TRIES {
            match self.spending.store.settle(&self.session, call, cost).await {
                Ok(today) => {
                    self.spending.metrics.spend_day.set(today.0);
                    return;
                }
                Err(error) if error.is_transient() => tokio::time::sleep(RETRY).await,
                Err(error) => {
                    tracing::debug!(session = %self.session, error = crate::error::chain(&error), "a call stays at its worst case");
                    return;
                }
            }
        }
    }

    /// At most how many tokens the request reads: what the last one measured, and half the bytes that are new;
    /// no text has more tokens than that.
    fn reads(&self, bytes: u64) -> u64 {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes >= last.bytes { last.tokens + (bytes - last.bytes) / 2 + 500 } else { bytes / 2 + 500 }
    }
}

#[async_trait]
impl Model for Metered {
    async fn complete(
        &self,
        request: &ModelRequest,
        on_event: OnEvent<'_>,
        cancel: &CancellationToken,
    ) -> Result<ModelMessage, ModelError> {
        let price = self.spending.prices.of(&request.model).price;
        let bytes = size(request);
        let worst = price.worst_case(self.reads(bytes), request.max_tokens.into());
        let mut call = self.reserve(worst, cancel).await?;
        let (heard, mut retries) = mpsc::unbounded_channel();
        let listen = |event: ModelEvent| {
            // An attempt that broke inside of its answer was begun, and may have to be paid.
            if let ModelEvent::Retry { category, .. } = &event
                && may_cost(category)
            {
                let _ = heard.send(());
            }
            on_event(event);
        };
        let answer = {
            let running = self.model.complete(request, &listen, cancel);
            tokio::pin!(running);
            loop {
                tokio::select! {
                    biased;
                    // Nothing of the next attempt happens while this is awaited.
                    Some(()) = retries.recv() => call = self.reserve(worst, cancel).await?,
                    answer = &mut running => break answer,
                }
            }
        };
        // One that followed without a pause is on account, too.
        while retries.try_recv().is_ok() {
            let broken = format!("{:016x}", rand::random::<u64>());
            if let Err(error) = self.spending.store.reserve(&self.session, &broken, worst, None).await {
                tracing::debug!(session = %self.session, error = crate::error::chain(&error), "an attempt is not on account");
            }
        }
        match &answer {
            Ok(message) => {
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
                    Measured { bytes, tokens: message.usage.total_input() };
                self.settle(&call, price.cost(&message.usage)).await;
            }
            Err(error) if error.kind != ErrorKind::Cancelled && !may_cost(error.category()) => {
                self.settle(&call, NanoDollars::ZERO).await;
            }
            Err(_) => {}
        }
        answer
    }
}

/// Whether an attempt that failed so may have been answered in part.
fn may_cost(category: &str) -> bool {
    [ErrorKind::Stream, ErrorKind::Network].iter().any(|kind| kind.category() == category)
}

/// Bytes of what is sent.
fn size(request: &ModelRequest) -> u64 {
    let messages: usize = request.messages.iter().map(json::length).sum();
    let tools = if request.tools.is_null() { 0 } else { json::length(&request.tools) };
    (request.system.len() + messages + tools) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing;
    use crate::model::fake::{FakeModel, Step, says};
    use crate::model::{Price, price::PriceLine};

    async fn spending(per_day: Option<f64>) -> (Spending, SessionId) {
        let database = testing::database().await;
        let store = database.store();
        let prices = PriceTable(vec![PriceLine { model: "m".into(), price: Price::new(1.0, 1000.0, 1.0, 1.0) }]);
        let per_day = per_day.map(NanoDollars::from_dollars);
        let spending = Spending { store: Arc::new(store), per_day, prices, metrics: Arc::new(Metrics::default()) };
        (spending, "2026-01-28T20-54-48-3a029c12".to_owned().into())
    }

    fn request(max_tokens: u32) -> ModelRequest {
        ModelRequest {
            model: "m".into(),
            system: Arc::default(),
            messages: Vec::new(),
            tools: Arc::default(),
            max_tokens,
            thinking: None,
        }
    }

    async fn ask(model: &Arc<dyn Model>, max_tokens: u32) -> Result<ModelMessage, ModelError> {
        model.complete(&request(max_tokens), &|_| {}, &CancellationToken::new()).await
    }

    #[tokio::test]
    async fn the_worst_case_is_reserved_and_what_it_cost_is_settled() {
        let (spending, session) = spending(Some(10.0)).await;
        let fake = Arc::new(FakeModel::new([says("a"), says("b")]));
        let model = spending.meter(fake.clone(), &session);
        // At most 4 dollars, and 10 tokens written of them.
        ask(&model, 4000).await.unwrap();
        let cost = spending.store.today().await.unwrap().spent;
        assert_eq!(cost, NanoDollars(10 * 1_000_000 + 100 * 1000));
        assert_eq!(spending.metrics.spend_day.get(), cost.0);
        // At most 12 dollars do not fit, and the model is not asked.
        let error = ask(&model, 12_000).await.unwrap_err();
        assert_eq!((error.kind, error.category()), (ErrorKind::DailyBudget, "DailyBudget"));
        assert!(error.to_string().contains("budgets.dollarsPerDay") && error.to_string().contains("UTC"), "{error}");
        assert_eq!(fake.requests().len(), 1);
        assert_eq!(spending.used_up().await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_attempt_that_broke_counts_in_full_and_one_that_was_refused_does_not() {
        let (spending, session) = spending(Some(10.0)).await;
        let broken = || Step::Retry(ModelError::new(ErrorKind::Stream, "cut"));
        let pause = || Step::Wait(Duration::from_millis(1));
        let busy = Step::Retry(ModelError::new(ErrorKind::Overloaded, "busy"));
        let model = spending.meter(Arc::new(FakeModel::new([busy, broken(), pause(), says("a")])), &session);
        ask(&model, 3000).await.unwrap();
        let spent = spending.store.today().await.unwrap().spent;
        assert!(spent > NanoDollars::from_dollars(3.0) && spent < NanoDollars::from_dollars(3.1), "{spent}");
        // The third attempt would not fit any more.
        let fake = Arc::new(FakeModel::new([broken(), pause(), broken(), pause(), says("never")]));
        let error = ask(&spending.meter(fake, &session), 3000).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::DailyBudget);
        assert!(spending.store.today().await.unwrap().spent > NanoDollars::from_dollars(9.0));
        let refused = FakeModel::new([Step::Fail(ModelError::new(ErrorKind::InvalidRequest, "no"))]);
        let before = spending.store.today().await.unwrap().spent;
        ask(&spending.meter(Arc::new(refused), &session), 100).await.unwrap_err();
        assert_eq!(spending.store.today().await.unwrap().spent, before);
    }

    #[tokio::test]
    async fn many_at_once_never_pass_the_limit() {
        let (spending, session) = spending(Some(10.0)).await;
        let calls = (0..20).map(|index| {
            let (store, session, limit) = (spending.store.clone(), session.clone(), spending.per_day);
            tokio::spawn(async move {
                store.reserve(&session, &format!("c{index}"), NanoDollars::from_dollars(1.0), limit).await.unwrap().0
            })
        });
        let granted = futures::future::join_all(calls).await.into_iter().filter(|granted| *granted.as_ref().unwrap());
        assert_eq!(granted.count(), 10);
        let sentence = spending.used_up().await.unwrap().unwrap();
        assert!(sentence.contains("$10.00"), "{sentence}");
        // Asked again, the first is granted as before, and settled once.
        let again = spending.store.reserve(&session, "c0", NanoDollars::from_dollars(1.0), spending.per_day).await;
        let first_ten = again.unwrap().0;
        for amount in [0.5, 0.1] {
            spending.store.settle(&session, "c0", NanoDollars::from_dollars(amount)).await.unwrap();
        }
        let spent = spending.store.today().await.unwrap().spent;
        assert_eq!(spent, NanoDollars::from_dollars(if first_ten { 9.5 } else { 10.0 }));
    }

    #[tokio::test]
    async fn who_does_not_lead_spends_nothing_and_readers_see_no_secret() {
        let database = testing::database().await;
        let store = database.store();
        let session: SessionId = "s".to_owned().into();
        let error = store.fenced(99).reserve_spend(&session, "c", NanoDollars(1), None).await.unwrap_err();
        assert_eq!(error.category(), "audit_fenced");
        let owner = sqlx::PgPool::connect(&database.owner_url).await.unwrap();
        let reader = &database.roles.reader;
        for statement in ["SELECT * FROM installation_secret", "SELECT read_installation_secret()"] {
            let mut transaction = owner.begin().await.unwrap();
            let set = format!("SET LOCAL ROLE \"{reader}\"");
            sqlx::query(sqlx::AssertSqlSafe(set)).execute(&mut *transaction).await.unwrap();
            let refused = sqlx::query(statement).execute(&mut *transaction).await.unwrap_err();
            assert!(refused.to_string().contains("permission denied"), "{refused}");
        }
        let refused = sqlx::query("SELECT secret FROM installation_secret")
            .execute(&sqlx::PgPool::connect(&database.url).await.unwrap())
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{refused}");
        assert!(store.installation_secret().await.is_ok());
    }
}
