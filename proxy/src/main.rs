//! The `transom` program: parses the command line and runs the command.

use std::process::ExitCode;

use clap::Parser;
use transom::allocator::CountingAllocator;
use transom::{commands, config};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    commands::run(config::CommandLine::parse())
}
