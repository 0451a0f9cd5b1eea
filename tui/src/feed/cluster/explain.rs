//! What the API server's answers mean to who looks at a screen.

use std::error::Error;

use crate::feed::{Kind, Link};
use crate::settings::Scope;

/// Errors with their causes, as one sentence.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

/// How a watch stands after an error.
pub(super) fn link(error: &kube::Error, kind: Kind, scope: &Scope) -> Link {
    let plural = kind.label().to_lowercase();
    match error {
        kube::Error::Api(status) if status.code == 404 => {
            let reason = format!(
                "The cluster does not know {}. Install the definitions: helm install operator-crds charts/operator-crds",
                kind.label()
            );
            Link::Missing { reason }
        }
        kube::Error::Api(status) if status.code == 403 => {
            let place = match scope {
                Scope::All => "in all namespaces; one may be allowed: -n NAME, or :ns NAME".to_owned(),
                Scope::Namespace(name) => format!("in the namespace {name}"),
            };
            let reason = format!("You may not list and watch {plural}.{} {place}", crds::GROUP);
            Link::Forbidden { reason }
        }
        kube::Error::Api(status) if status.code == 401 => Link::Forbidden {
            reason: format!("The API server does not know you (401): log in again. {}", status.message),
        },
        kube::Error::Api(status) => {
            Link::Lost { reason: format!("The API server refuses ({}): {}", status.code, status.message) }
        }
        error => Link::Lost { reason: format!("The API server cannot be reached: {}", chain(error)) },
    }
}

/// Why a change was refused.
pub(super) fn refusal(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => format!("you may not do this: {}", status.message),
        kube::Error::Api(status) if status.code == 404 => "it is gone".to_owned(),
        kube::Error::Api(status) => status.message.clone(),
        error => format!("the API server cannot be reached, and nobody knows whether it was done: {}", chain(error)),
    }
}
