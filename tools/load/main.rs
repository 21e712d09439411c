//! evenkeel-load: the load generator as a program of its own; the lab carries the same module inside it.
#![forbid(unsafe_code)]

#[path = "mod.rs"]
mod load;

fn main() -> std::process::ExitCode {
    load::main(std::env::args_os())
}
