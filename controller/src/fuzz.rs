//! Doors for the fuzzer into what reads bytes of strangers; see `fuzz/`. Each says what must hold of whatever comes,
//! and panics where it does not.
//!
//! They are no part of an ordinary build; the tests play the kept corpus through them.

mod events;
mod frames;
mod request;

pub use events::events;
pub use frames::frames;
pub use request::request;
