//! `operator wall`: sets the walls of the network namespace that it runs in.

use std::io::{BufRead as _, Read as _};

use clap::Args;

use crate::error::chain;
use crate::wall::{self, DONE, Rules};

/// No rules are longer.
const LONGEST: u64 = 1 << 20;

/// Sets the walls of the network namespace that it runs in. Started by the controller, not by people.
#[derive(Args, Debug)]
pub struct WallArgs {
    /// What they let through, as JSON; else it is the first line of standard input
    #[arg(long, value_parser = rules)]
    rules: Option<Rules>,
}

fn rules(text: &str) -> Result<Rules, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Runs it, and says so when they stand. An error is a sentence.
pub fn run(args: WallArgs) -> Result<(), String> {
    let rules = match args.rules {
        Some(rules) => rules,
        None => self::rules(&first_line()?).map_err(|error| format!("the rules cannot be read: {error}"))?,
    };
    wall::apply(&rules).map_err(|error| chain(&error))?;
    println!("{DONE}");
    Ok(())
}

fn first_line() -> Result<String, String> {
    let mut line = String::new();
    let read = std::io::stdin().lock().take(LONGEST).read_line(&mut line);
    read.map_err(|error| format!("the rules cannot be heard: {error}"))?;
    Ok(line)
}
