//! The key in a Secret of the operator's own namespace. Helm never renders it, so no upgrade of the
//! chart changes or removes it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use secrecy::zeroize::Zeroizing;
use serde_json::json;

use super::{Held, Vault, VaultError};
use crate::audit::proof::key::PrivateKey;
use crate::error::chain;

/// The current key's name in the Secret, and of the file when it is mounted.
pub const CURRENT: &str = "signing.key";
/// The next one's.
pub const NEXT: &str = "signing.key.next";

/// A Secret.
#[derive(Clone)]
pub struct SecretVault {
    secrets: Api<Secret>,
    namespace: String,
    name: String,
}

impl SecretVault {
    /// The Secret `name` in `namespace`.
    #[must_use]
    pub fn new(client: kube::Client, namespace: &str, name: &str) -> Self {
        Self { secrets: Api::namespaced(client, namespace), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn failed(&self, what: &str, error: &kube::Error) -> VaultError {
        VaultError(format!("the Secret {}/{} cannot be {what}: {}", self.namespace, self.name, chain(error)))
    }

    async fn make(&self, name: &str, key: &PrivateKey) -> Result<(), kube::Error> {
        let labels = [("app.kubernetes.io/part-of", "operator"), ("app.kubernetes.io/managed-by", "operator-migrate")];
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
                ..ObjectMeta::default()
            },
            type_: Some("Opaque".to_owned()),
            data: Some(BTreeMap::from([(name.to_owned(), ByteString(key.to_pem().as_bytes().to_vec()))])),
            ..Secret::default()
        };
        self.secrets.create(&PostParams::default(), &secret).await.map(drop)
    }

    async fn patch(&self, data: serde_json::Value) -> Result<(), VaultError> {
        let patch = json!({"apiVersion": "v1", "kind": "Secret", "data": data});
        let done = self.secrets.patch(&self.name, &PatchParams::default(), &Patch::Merge(&patch)).await;
        done.map(drop).map_err(|error| self.failed("changed", &error))
    }

    fn read(&self, secret: &Secret, name: &str) -> Result<Option<PrivateKey>, VaultError> {
        let Some(ByteString(bytes)) = secret.data.as_ref().and_then(|data| data.get(name)) else { return Ok(None) };
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let key = PrivateKey::from_pem(text);
        key.map(Some)
            .map_err(|error| VaultError(format!("{name} of the Secret {}/{}: {error}", self.namespace, self.name)))
    }
}

#[async_trait]
impl Vault for SecretVault {
    fn place(&self) -> String {
        format!("the Secret {}/{}", self.namespace, self.name)
    }

    async fn load(&self) -> Result<Held, VaultError> {
        let secret = self.secrets.get_opt(&self.name).await.map_err(|error| self.failed("read", &error))?;
        let Some(secret) = secret else { return Ok(Held::default()) };
        Ok(Held { current: self.read(&secret, CURRENT)?, next: self.read(&secret, NEXT)? })
    }

    async fn create(&self, key: &PrivateKey) -> Result<(), VaultError> {
        self.make(CURRENT, key).await.map_err(|error| self.failed("made", &error))
    }

    async fn put_next(&self, key: &PrivateKey) -> Result<(), VaultError> {
        let there = self.secrets.get_opt(&self.name).await.map_err(|error| self.failed("read", &error))?;
        if there.is_none() {
            // It was lost whole.
            return self.make(NEXT, key).await.map_err(|error| self.failed("made", &error));
        }
        self.patch(json!({NEXT: base64(key)})).await
    }

    async fn promote(&self) -> Result<(), VaultError> {
        let held = self.load().await?;
        let next = held.next.ok_or_else(|| VaultError(format!("{} has no next key", self.place())))?;
        // A null takes the name out of the Secret.
        self.patch(json!({CURRENT: base64(&next), NEXT: serde_json::Value::Null})).await
    }
}

fn base64(key: &PrivateKey) -> String {
    use base64::Engine as _;
    let text: Zeroizing<String> = key.to_pem();
    base64::engine::general_purpose::STANDARD.encode(text.as_bytes())
}
