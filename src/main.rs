//! The program: reads its arguments, runs a command, says how it went by its exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    curfew::cli::main()
}
