//! `operator audit prune`.
#![allow(clippy::format_push_string)] // reads better than write! with an error that cannot be

use super::output::print;
use super::source::SourceArgs;
use super::{AuditCliError, PruneArgs};
use crate::audit::postgres::{BATCH, Pruner, Removed};
use crate::audit::proof::Signer;

pub(super) async fn run(source: &SourceArgs, args: &PruneArgs) -> Result<(), AuditCliError> {
    let url = source.database().ok_or_else(|| {
        AuditCliError::NotFound(
            "pruning needs the database itself, as the role that prunes: --database-url postgres://operator_pruner:PASSWORD@HOST:5432/DATABASE".into(),
        )
    })?;
    let mut pruner = Pruner::connect(url, args.older_than).await?;
    let done = match &args.signing_key {
        Some(key) if !args.dry_run => prune(&mut pruner, &Signer::at(key.clone())).await,
        _ => show(&mut pruner).await,
    };
    pruner.close().await;
    done
}

/// What would be removed first, and whether more would be.
async fn show(pruner: &mut Pruner) -> Result<(), AuditCliError> {
    let found = pruner.candidates(BATCH + 1).await?;
    let more = i64::try_from(found.len()).is_ok_and(|found| found > BATCH);
    let mut text = String::new();
    for one in found.iter().take(usize::try_from(BATCH).unwrap_or(usize::MAX)) {
        text.push_str(&format!("session {} with {} entries\n", one.session, one.last_seq));
    }
    text.push_str(match (found.len(), more) {
        (0, _) => "nothing would be removed\n",
        (_, true) => "and more would be removed\n",
        (_, false) => "would be removed\n",
    });
    print(&text)
}

async fn prune(pruner: &mut Pruner, signer: &Signer) -> Result<(), AuditCliError> {
    let mut all = Removed::default();
    loop {
        let removed = pruner.prune(signer).await?;
        if removed.sessions == 0 {
            break;
        }
        all.sessions += removed.sessions;
        all.entries += removed.entries;
    }
    print(&format!("{} sessions with {} entries were removed\n", all.sessions, all.entries))
}
