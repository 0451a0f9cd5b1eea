//! `operator audit key`.

use super::output::print;
use super::source::Source;
use super::{AuditCliError, KeyArgs, KeyFormat};
use crate::audit::proof::PublicKey;

pub(super) async fn run(source: &Source, args: &KeyArgs) -> Result<(), AuditCliError> {
    let keys = source.reader.keys().await?;
    let Some(last) = keys.last() else {
        return Err(AuditCliError::NotFound("the trail has no signing key: operator migrate makes it".into()));
    };
    let key: PublicKey = last
        .public_key
        .parse()
        .map_err(|_| AuditCliError::NotFound(format!("the trail's key {:?} is none", last.public_key)))?;
    match args.output {
        KeyFormat::Pem => {
            eprintln!("the signing key {} (number {}, since link {})", key.id(), keys.len(), last.link);
            print(&key.to_pem())
        }
        KeyFormat::Hex => print(&format!("{}\n", key.to_hex())),
        KeyFormat::Json => print(&format!("{}\n", serde_json::json!({ "keys": keys }))),
    }
}
