//! Where the farm keeps its ledger: one trait per noun, an in-memory store, and the suite every store must pass.
