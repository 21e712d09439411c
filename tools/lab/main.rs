//! evenkeel-lab
fn main() {}
