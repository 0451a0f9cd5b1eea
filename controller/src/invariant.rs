//! Invariants: what has to hold of a Subject, judged over what its probes read.
