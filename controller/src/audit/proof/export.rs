//! The trail as JSON lines: one record a line, each with its bytes, hashes and signatures, so that
//! [`super::verify`] needs neither the database nor Operator's cluster.

use std::io::{BufRead, Write};

use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;

use super::row::{Header, Record, Records, Scope, Totals};
use crate::audit::AuditError;

/// The version of the format.
pub const VERSION: u32 = 1;
/// A line is an entry at most, escaped: twice [`crate::audit::codec::MAX_ENTRY_BYTES`] and some.
const LONGEST_LINE: u64 = 128 << 20;

/// Why a trail could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It could not be read.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// It could not be written.
    #[error("the export could not be written")]
    Write(#[source] std::io::Error),
}

impl ExportError {
    /// A static name for metrics and logs.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Audit(error) => error.category(),
            Self::Write(_) => "export_write",
        }
    }
}

/// Writes all records.
///
/// # Errors
/// [`ExportError`].
pub async fn export(mut records: Records, scope: Scope, out: &mut (impl Write + Send)) -> Result<Totals, ExportError> {
    let mut totals = Totals::default();
    let header = Header { version: VERSION, at: Timestamp::now(), scope, operator: env!("CARGO_PKG_VERSION").into() };
    write(out, &Record::Export(header))?;
    while let Some(record) = records.next().await {
        let mut record = record?;
        match &mut record {
            Record::Link(_) => totals.links += 1,
            Record::Session(_) => totals.sessions += 1,
            Record::Entry(entry) => {
                totals.entries += 1;
                entry.derived = None;
            }
            Record::Export(_) | Record::Key(_) | Record::End(_) => {}
        }
        write(out, &record)?;
    }
    write(out, &Record::End(totals))?;
    out.flush().map_err(ExportError::Write)?;
    Ok(totals)
}

fn write(out: &mut impl Write, record: &Record) -> Result<(), ExportError> {
    serde_json::to_writer(&mut *out, record).map_err(|error| ExportError::Write(error.into()))?;
    out.write_all(b"\n").map_err(ExportError::Write)
}

/// The records of an export, line by line.
#[must_use]
pub fn read(input: impl BufRead + Send + 'static) -> Records {
    let mut number = 0_u64;
    let mut input = input;
    let lines = std::iter::from_fn(move || {
        number += 1;
        line(&mut input, number).transpose()
    });
    // The file is read where it is asked for: by a command line that does nothing else.
    stream::iter(lines).boxed()
}

fn line(input: &mut impl BufRead, number: u64) -> Result<Option<Record>, AuditError> {
    use std::io::Read as _;
    let refuse = |what: String| AuditError::Refused(format!("line {number} of the export {what}"));
    loop {
        let mut bytes = Vec::new();
        let read = input
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut bytes)
            .map_err(|error| refuse(format!("cannot be read: {error}")))?;
        if read == 0 {
            return Ok(None);
        }
        if bytes.last() != Some(&b'\n') && read as u64 == LONGEST_LINE {
            return Err(refuse("is longer than any that operator writes".into()));
        }
        if !bytes.trim_ascii().is_empty() {
            return serde_json::from_slice(&bytes).map(Some).map_err(|error| refuse(format!("is no record: {error}")));
        }
    }
}
