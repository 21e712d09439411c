//! evenkeel-load
fn main() {}
