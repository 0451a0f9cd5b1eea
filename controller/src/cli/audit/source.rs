//! Where the trail is read: the audit API through the API server, the API at an address, or the
//! database itself.
#![allow(clippy::doc_markdown)] // the comments on flags are their help, where a URL stands as it is

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::AuditCliError;
use crate::audit::remote::{RemoteReader, Transport};
use crate::audit::{AuditReader, PostgresStore};
use crate::cli::cluster;
use crate::error::chain;

/// Where to read, and whose Incidents.
#[derive(Args, Clone, Debug)]
pub struct SourceArgs {
    /// The Incident's namespace; by default the one of the kubeconfig's context.
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The kubeconfig; by default KUBECONFIG, then ~/.kube/config, then the pod's own account.
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context.
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// Where Operator runs.
    #[arg(
        long,
        global = true,
        env = "OPERATOR_NAMESPACE",
        default_value = "operator-system",
        value_name = "NAMESPACE"
    )]
    operator_namespace: String,
    /// The audit API, over a port-forward of your own (http://localhost:8081).
    #[arg(long, global = true, env = "OPERATOR_AUDIT_URL", value_name = "URL")]
    audit_url: Option<String>,
    /// The database itself (postgres://USER:PASSWORD@HOST:5432/DATABASE), without the cluster.
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<SecretString>,
}

impl SourceArgs {
    /// The database, if one was named.
    pub(super) fn database(&self) -> Option<&str> {
        self.database_url.as_ref().map(ExposeSecret::expose_secret).filter(|url| !url.is_empty())
    }
}

/// An open way to the trail.
pub(super) struct Source {
    pub(super) reader: Arc<dyn AuditReader>,
    pub(super) namespace: String,
    /// The cluster, when it is read through it.
    pub(super) cluster: Option<kube::Client>,
}

/// Opens the first that is given: the API's URL, the database's URL, the cluster.
pub(super) async fn open(args: &SourceArgs) -> Result<Source, AuditCliError> {
    let config = cluster::config(args.kubeconfig.as_deref(), args.context.as_deref()).await;
    let namespace = match (&args.namespace, &config) {
        (Some(namespace), _) => namespace.clone(),
        (None, Ok(config)) => config.default_namespace.clone(),
        (None, Err(_)) => "default".to_owned(),
    };
    if let Some(url) = args.audit_url.as_deref().filter(|url| !url.is_empty()) {
        let reader = RemoteReader::connect(Transport::direct(url)?).await?;
        return Ok(Source { reader: Arc::new(reader), namespace, cluster: None });
    }
    if let Some(url) = args.database() {
        let store = PostgresStore::connect(url)?;
        store.check_schema().await?;
        return Ok(Source { reader: Arc::new(store), namespace, cluster: None });
    }
    let no_cluster = |error: &dyn std::error::Error| AuditCliError::NoCluster(chain(error));
    let config = config.map_err(AuditCliError::NoCluster)?;
    let client = kube::Client::try_from(config).map_err(|error| no_cluster(&error))?;
    let transport = Transport::PortForward { client: client.clone(), namespace: args.operator_namespace.clone() };
    let reader = RemoteReader::connect(transport).await?;
    Ok(Source { reader: Arc::new(reader), namespace, cluster: Some(client) })
}
