//! `operator audit verify`.
#![allow(clippy::format_push_string)] // reads better than write! with an error that cannot be

use std::fs::File;
use std::io::BufReader;

use super::export::sessions_named;
use super::output::print;
use super::source::Source;
use super::{AuditCliError, FollowFormat, VerifyArgs, witness};
use crate::audit::proof::PublicKey;
use crate::audit::proof::export;
use crate::audit::proof::row::{Records, Scope, records};
use crate::audit::proof::verify::{Expected, Report, verify};
use crate::printable::one_line;

pub(super) async fn run(source: Option<&Source>, args: &VerifyArgs) -> Result<(), AuditCliError> {
    let keys = args.public_key.iter().map(|text| public_key(text)).collect::<Result<_, _>>()?;
    let (witnesses, said) = witness::gather(source, args.incidents.as_deref()).await?;
    let (records, scope) = open(source, args).await?;
    let mut report = verify(records, scope, Expected { keys, witnesses }).await?;
    report.notes.push(said);
    print(&match args.output {
        FollowFormat::Text => text(&report),
        FollowFormat::Json => format!("{}\n", serde_json::json!(report)),
    })?;
    if report.verified { Ok(()) } else { Err(AuditCliError::NotVerified(faults(&report))) }
}

async fn open(source: Option<&Source>, args: &VerifyArgs) -> Result<(Records, Scope), AuditCliError> {
    if let Some(path) = &args.file {
        let file = File::open(path)
            .map_err(|error| AuditCliError::File(format!("{} cannot be opened: {error}", path.display())))?;
        // What the file itself says of its scope takes the place of this.
        return Ok((export::read(BufReader::with_capacity(1 << 16, file)), Scope::All));
    }
    let Some(source) = source else { return Err(AuditCliError::File("there is nothing to verify".into())) };
    let mut ids = Vec::new();
    for target in args.targets.iter().filter(|target| *target != "all") {
        ids.extend(sessions_named(source, target).await?);
    }
    let scope = if ids.is_empty() { Scope::All } else { Scope::Sessions(ids) };
    Ok((records(source.reader.clone() as _, scope.clone()), scope))
}

/// From hex digits, or from a file.
fn public_key(text: &str) -> Result<PublicKey, AuditCliError> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let content = std::fs::read_to_string(text)
        .map_err(|error| AuditCliError::File(format!("the public key {text:?} cannot be read: {error}")))?;
    content.parse().map_err(|error| AuditCliError::File(format!("the public key {text:?}: {error}")))
}

fn faults(report: &Report) -> String {
    match report.faults.len() + report.more_faults {
        1 => "1 fault".to_owned(),
        n => format!("{n} faults"),
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for fault in &report.faults {
        text.push_str(&format!("{}\n", one_line(&fault.to_string())));
    }
    if report.more_faults > 0 {
        text.push_str(&format!("and {} more\n", report.more_faults));
    }
    let result = if report.verified { "verified".to_owned() } else { format!("NOT verified, {}", faults(report)) };
    text.push_str(&format!(
        "{result}: {} sessions, {} entries, {} links, {} pruned; keys: {}\n",
        report.sessions,
        report.entries,
        report.links,
        report.pruned,
        report.keys.join(", ")
    ));
    for note in &report.notes {
        text.push_str(&format!("note: {}\n", one_line(note)));
    }
    text
}
