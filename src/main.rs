//! The program: the library's command line, with an allocator.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Rows are allocated and freed on different threads; SQLite uses this allocator too.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    joc_orders::cli::program::main()
}
