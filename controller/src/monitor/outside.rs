//! What the monitor needs of the cluster: a Subject's Incidents, opening and joining them, Events. The real part is the
//! API server; tests have one of their own.

use std::sync::Arc;

use async_trait::async_trait;
use crds::Incident;

use super::known::Known;
use super::order::Order;
use super::words::Joined;

/// An Event on a Subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Whether it needs a look.
    pub warning: bool,
    /// A CamelCase word.
    pub reason: &'static str,
    /// What it is about, such as `down[a]`: Events of one reason about the same are counted as one.
    pub about: String,
    /// A sentence.
    pub note: String,
}

/// What came of opening an Incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It was created.
    Yes,
    /// One of that name is there already.
    WasThere,
}

/// The cluster, as far as the monitor needs it. Every call is bounded in time, and refused to one who does not lead; an
/// error is a sentence.
#[async_trait]
pub trait Outside: Send + Sync + 'static {
    /// The Subject's Incidents as far as they are known here, at no cost.
    fn cached(&self, order: &Order) -> Vec<Known>;

    /// The Subject's Incidents, from the source.
    async fn incidents(&self, order: &Order) -> Result<Vec<Known>, String>;

    /// Creates an Incident.
    async fn open(&self, incident: &Incident) -> Result<Opened, String>;

    /// Changes an open Incident, if it still is as it was seen. Says whether it was.
    async fn join(&self, order: &Order, open: &Known, joined: &Joined) -> Result<bool, String>;

    /// Publishes Events on the Subject, or on the Incident of that name. Nothing waits for it.
    fn tell(&self, order: &Arc<Order>, incident: Option<&str>, news: Vec<News>);

    /// Has the Subject's status looked at.
    fn changed(&self, order: &Order);

    /// Masks the secrets in what is said of a Subject, and makes one printable line of it.
    fn clean(&self, order: &Order, text: &str) -> String;

    /// This installation's name.
    fn installation(&self) -> &str;
}
