//! The control plane: API, ledger, dispatch, and supervision of workers.
fn main() {}
