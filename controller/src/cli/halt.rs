//! `operator halt` and `operator resume`: stop everything, and go on.

use std::path::PathBuf;

use clap::Args;

use super::cluster;
use crate::error::chain;
use crate::halt::{object, order};

/// Which installation.
#[derive(Args, Debug)]
pub struct PlaceArgs {
    /// Where Operator runs.
    #[arg(long, env = "OPERATOR_NAMESPACE", default_value = "operator-system", value_name = "NAMESPACE")]
    operator_namespace: String,
    /// The installation's name, that of its Helm release.
    #[arg(long, env = "OPERATOR_INSTALLATION", default_value = "operator", value_name = "NAME")]
    installation: String,
    /// The kubeconfig; by default KUBECONFIG, then ~/.kube/config, then the pod's own account.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// Arguments of `operator halt`.
#[derive(Args, Debug)]
pub struct HaltArgs {
    /// Why, in one line: it stands in the status of every Incident that waits or runs.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Arguments of `operator resume`.
#[derive(Args, Debug)]
pub struct ResumeArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

impl PlaceArgs {
    async fn client(&self) -> Result<kube::Client, String> {
        let config = cluster::config(self.kubeconfig.as_deref(), self.context.as_deref()).await;
        let config = config.map_err(|reason| format!("no Kubernetes cluster, so nothing changed: {reason}"))?;
        kube::Client::try_from(config)
            .map_err(|error| format!("no Kubernetes cluster, so nothing changed: {}", chain(&error)))
    }

    fn object(&self) -> String {
        format!("ConfigMap {}/{}", self.operator_namespace, object(&self.installation))
    }
}

/// Halts the installation.
///
/// # Errors
/// A sentence that says why nothing changed.
pub async fn halt(args: HaltArgs) -> Result<(), String> {
    let HaltArgs { reason, place } = args;
    let client = place.client().await?;
    let halt = order::halt(client, &place.operator_namespace, &place.installation, reason).await;
    let halt = halt.map_err(|error| error.to_string())?;
    println!("{} ({}).", halt.sentence(), place.object());
    println!("Running commands are killed, nothing begins until `operator resume`. Incidents show the reason Halted.");
    Ok(())
}

/// Lets it go on.
///
/// # Errors
/// As [`halt`].
pub async fn resume(args: ResumeArgs) -> Result<(), String> {
    let client = args.place.client().await?;
    let done = order::resume(client, &args.place.operator_namespace, &args.place.installation).await;
    done.map_err(|error| error.to_string())?;
    println!("the installation goes on ({}).", args.place.object());
    Ok(())
}
