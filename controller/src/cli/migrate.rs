//! `operator migrate`: makes the audit store what this version needs. Owns the schema, the roles and the
//! signing key.
#![allow(clippy::doc_markdown)] // the comments on flags are their help, where a URL stands as it is

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

use crate::audit::postgres::{MigrateError, Roles, Wanted, migrate, prepare_key};
use crate::audit::proof::vault::{FileVault, SecretVault, Vault};
use crate::error::chain;

/// Brings the schema of the audit store and its roles up to date.
#[derive(Args, Clone, Debug)]
pub struct MigrateArgs {
    /// The database, as a role that owns it and may make roles (postgres://USER:PASSWORD@HOST:5432/DATABASE).
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: SecretString,

    /// The role that the controller logs in with. Roles belong to the whole server.
    #[arg(long, env = "OPERATOR_CONTROLLER_ROLE", default_value = "operator_controller", value_name = "NAME")]
    pub controller_role: String,

    /// The password that the controller's role gets. Without it a role keeps the one it has.
    #[arg(long, env = "OPERATOR_DATABASE_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    pub controller_password: Option<SecretString>,

    /// The role that may read and nothing else, to be granted to people.
    #[arg(long, env = "OPERATOR_READER_ROLE", default_value = "operator_reader", value_name = "NAME")]
    pub reader_role: String,

    /// The role that prunes (operator audit prune) and can do nothing else.
    #[arg(long, env = "OPERATOR_PRUNER_ROLE", default_value = "operator_pruner", value_name = "NAME")]
    pub pruner_role: String,

    /// The password that the pruning role gets. Without it a role keeps the one it has.
    #[arg(long, env = "OPERATOR_PRUNER_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    pub pruner_password: Option<SecretString>,

    /// The file of the key that signs the trail: made once, mode 0600.
    #[arg(long, env = "OPERATOR_SIGNING_KEY", value_name = "FILE")]
    pub signing_key: Option<PathBuf>,

    /// In a cluster: the Secret of that key instead (NAME in the pod's own namespace, or NAMESPACE/NAME).
    #[arg(long, env = "OPERATOR_SIGNING_KEY_SECRET", value_name = "NAME", conflicts_with = "signing_key")]
    pub signing_key_secret: Option<String>,

    /// Makes a new signing key, which the one before it signs.
    #[arg(long)]
    pub rotate_key: bool,

    /// Makes new signing keys until it is the installation's key of this number: as --rotate-key, but the same again
    /// changes nothing.
    #[arg(long, env = "OPERATOR_KEY_NUMBER", default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..=10_000), value_name = "N")]
    pub key_number: i64,

    /// Begins anew with another signing key when the one before it is lost for good. The trail says so for ever.
    #[arg(long)]
    pub replace_lost_key: bool,

    /// How long to wait for the database, in seconds.
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    pub wait: u64,
}

/// Runs it, and says on standard error what it waits for and what it did.
///
/// # Errors
/// [`MigrateError`].
pub async fn run(args: MigrateArgs) -> Result<(), MigrateError> {
    // An environment variable that is set to nothing is as good as none.
    let given = |password: Option<SecretString>| password.filter(|password| !password.expose_secret().is_empty());
    let vault = vault(args.signing_key, args.signing_key_secret).await?;
    let roles = Roles {
        controller: args.controller_role,
        controller_password: given(args.controller_password),
        reader: args.reader_role,
        pruner: args.pruner_role,
        pruner_password: given(args.pruner_password),
    };
    let url = args.database_url.expose_secret();
    let wait = Duration::from_secs(args.wait);
    let done = migrate(url, &roles, wait, |sentence| eprintln!("{sentence}")).await?;
    match done.applied.as_slice() {
        [] => eprintln!("the audit store is up to date (version {})", done.version),
        [only] => eprintln!("the audit store was brought to version {only}"),
        applied => eprintln!("the audit store was brought to version {} in {} steps", done.version, applied.len()),
    }
    eprintln!(
        "roles: {} appends and reads, {} reads, {} prunes; installation {}",
        roles.controller, roles.reader, roles.pruner, done.installation
    );
    let wanted = Wanted { rotate: args.rotate_key, number: args.key_number, replace_lost: args.replace_lost_key };
    let key = prepare_key(url, &*vault, wanted).await?;
    let (id, number, place) = (key.public.id(), key.number, vault.place());
    if key.new {
        eprintln!(
            "a new signing key, {id} (number {number}), is in {place}; the public one is {}",
            key.public.to_hex()
        );
    } else {
        eprintln!("the signing key is {id} (number {number}), in {place}");
    }
    if key.adopted > 0 {
        eprintln!("{} sessions from before signing were taken up by the chain as they stand", key.adopted);
    }
    Ok(())
}

/// Where the key is kept.
async fn vault(file: Option<PathBuf>, secret: Option<String>) -> Result<Box<dyn Vault>, MigrateError> {
    let file = file.filter(|path| !path.as_os_str().is_empty());
    let secret = secret.filter(|name| !name.is_empty());
    match (file, secret) {
        (Some(path), None) => Ok(Box::new(FileVault::new(path))),
        (None, Some(name)) => {
            let no_cluster =
                |error: &dyn std::error::Error| MigrateError::Setting(format!("no cluster to keep the signing key in: {}", chain(error)));
            let config = kube::Config::infer().await.map_err(|error| no_cluster(&error))?;
            let own = config.default_namespace.clone();
            let client = kube::Client::try_from(config).map_err(|error| no_cluster(&error))?;
            let (namespace, name) = name.split_once('/').unwrap_or((&own, &name));
            Ok(Box::new(SecretVault::new(client, namespace, name)))
        }
        (None, None) => Err(MigrateError::Setting(
            "the key that signs the trail needs a place: --signing-key FILE (OPERATOR_SIGNING_KEY), or in a cluster --signing-key-secret NAME (OPERATOR_SIGNING_KEY_SECRET)".into(),
        )),
        (Some(_), Some(_)) => Err(MigrateError::Setting(
            "the key that signs the trail has one place: a file (OPERATOR_SIGNING_KEY) or a Secret (OPERATOR_SIGNING_KEY_SECRET), not both".into(),
        )),
    }
}
