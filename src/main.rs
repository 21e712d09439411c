//! evenkeel: parse, build, run, report; nothing else.
fn main() {}
