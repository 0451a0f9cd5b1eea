//! Labels, finalizers and field managers that users and tests rely on.

/// Which installation of Operator serves an object or owns a container. An object without it is
/// served by every installation that watches its namespace.
pub const LABEL_INSTALLATION: &str = "operator.dev/installation";
/// The session that made a container, pod, network or volume.
pub const LABEL_SESSION: &str = "operator.dev/session";
/// The Subject (`namespace/name`) that it was made for.
pub const LABEL_SUBJECT: &str = "operator.dev/subject";
/// The fingerprint of the fault for which an Incident was opened.
pub const LABEL_FINGERPRINT: &str = "operator.dev/fingerprint";
/// Holds an Incident until its session has ended and its container is gone.
pub const FINALIZER: &str = "operator.dev/session";
/// Holds a demo's chapter until what the demo did is taken back.
pub const DEMO_FINALIZER: &str = "operator.dev/demo";
/// Field manager of the controller.
pub const FIELD_MANAGER: &str = "operator";
