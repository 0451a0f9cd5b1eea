//! `operator wall`: sets the walls of the network namespace that it runs in.

use clap::Args;

use crate::error::chain;
use crate::wall::{self, Rules};

/// Sets the walls of the network namespace that it runs in. Started by the controller, not by people.
#[derive(Args, Debug)]
pub struct WallArgs {
    /// What they let through, as JSON
    #[arg(long, value_parser = rules)]
    rules: Rules,
}

fn rules(text: &str) -> Result<Rules, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Runs it. An error is a sentence.
pub fn run(args: &WallArgs) -> Result<(), String> {
    wall::apply(&args.rules).map_err(|error| chain(&error))
}
