//! Stories that need the whole farm.
