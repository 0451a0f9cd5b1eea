//! `operator migrate`: makes the audit store what this version needs. Owns the schema and the roles.
#![allow(clippy::doc_markdown)] // the comments on flags are their help, where a URL stands as it is

use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

use crate::audit::postgres::{MigrateError, Roles, migrate};

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
    let password = args.controller_password.filter(|password| !password.expose_secret().is_empty());
    let roles = Roles { controller: args.controller_role, controller_password: password, reader: args.reader_role };
    let wait = Duration::from_secs(args.wait);
    let done = migrate(args.database_url.expose_secret(), &roles, wait, |sentence| eprintln!("{sentence}")).await?;
    match done.applied.as_slice() {
        [] => eprintln!("the audit store is up to date (version {})", done.version),
        [only] => eprintln!("the audit store was brought to version {only}"),
        applied => eprintln!("the audit store was brought to version {} in {} steps", done.version, applied.len()),
    }
    eprintln!(
        "roles: {} appends and reads, {} reads; installation {}",
        roles.controller, roles.reader, done.installation
    );
    Ok(())
}
