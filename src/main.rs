//! Hands the arguments to the command line and its outcome to the system as an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleetstorm::cli::main(std::env::args_os()).into()
}
