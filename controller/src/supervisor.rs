//! The seat inside the container.
