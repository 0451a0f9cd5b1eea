//! The day's sum in memory, for tests without a database. Its day never ends.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::SpendStore;
use crate::audit::AuditError;
use crate::audit::postgres::SpendToday;
use crate::money::NanoDollars;
use crate::session::SessionId;

/// Keeps the sum in memory.
#[derive(Debug, Default)]
pub struct FakeSpend {
    /// By session and call: what counts, and whether it is settled.
    calls: Mutex<HashMap<(SessionId, String), (NanoDollars, bool)>>,
}

impl FakeSpend {
    fn calls(&self) -> MutexGuard<'_, HashMap<(SessionId, String), (NanoDollars, bool)>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sum(&self) -> SpendToday {
        let spent = self.calls().values().map(|(amount, _)| *amount).sum();
        SpendToday { spent, next_day: jiff::Timestamp::MAX }
    }
}

#[async_trait]
impl SpendStore for FakeSpend {
    async fn reserve(
        &self,
        session: &SessionId,
        call: &str,
        amount: NanoDollars,
        limit: Option<NanoDollars>,
    ) -> Result<(bool, SpendToday), AuditError> {
        let key = (session.clone(), call.to_owned());
        let known = self.calls().contains_key(&key);
        let granted = known || limit.is_none_or(|limit| self.sum().spent + amount <= limit);
        if granted && !known {
            self.calls().insert(key, (amount, false));
        }
        Ok((granted, self.sum()))
    }

    async fn settle(&self, session: &SessionId, call: &str, amount: NanoDollars) -> Result<NanoDollars, AuditError> {
        if let Some(kept) = self.calls().get_mut(&(session.clone(), call.to_owned())).filter(|(_, settled)| !settled) {
            *kept = (amount, true);
        }
        Ok(self.sum().spent)
    }

    async fn today(&self) -> Result<SpendToday, AuditError> {
        Ok(self.sum())
    }
}
