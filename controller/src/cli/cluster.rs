//! The cluster that a command talks to.

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::error::chain;

/// By the given kubeconfig, else by KUBECONFIG, `~/.kube/config` or the pod's own account.
///
/// # Errors
/// A sentence, if there is none or it cannot be read.
pub async fn config(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<kube::Config, String> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    if let Some(file) = kubeconfig {
        let read = Kubeconfig::read_from(file).map_err(|error| chain(&error))?;
        return kube::Config::from_custom_kubeconfig(read, &options).await.map_err(|error| chain(&error));
    }
    if context.is_some() {
        return kube::Config::from_kubeconfig(&options).await.map_err(|error| chain(&error));
    }
    kube::Config::infer().await.map_err(|error| chain(&error))
}
