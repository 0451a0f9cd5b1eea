//! `operator fault`: what a helper of a demo's chapter does.

use clap::Args;

use crate::fault::job::{Job, VARIABLE};
use crate::fault::work::work;
use crate::printable;

/// Does one job of a demo's chapter. Started by the controller, not by people.
#[derive(Args, Debug)]
pub struct FaultArgs {
    /// The job, as JSON
    #[arg(long, env = VARIABLE, hide_env_values = true, value_name = "JSON")]
    job: String,
}

/// Does it, and says what came of it in one line. An error is a sentence.
pub async fn run(args: FaultArgs) -> Result<(), String> {
    let job: Job = serde_json::from_str(&args.job).map_err(|error| format!("the job cannot be read: {error}"))?;
    println!("{}", printable::one_line(&work(job).await?));
    Ok(())
}
