//! turn.
