//! The Python of the comparison of gateways keeps what its own tests say. In: `benches/gateways/test_tools.py`. Out: its outcome.
//! Always: nothing is started, fetched or built.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

/// `compare.py` asks for this version too.
const VERSION: &str = "import sys; sys.exit(sys.version_info < (3, 11))";

#[test]
fn the_tools_of_the_comparison_pass_their_own_tests() {
    let has_python = Command::new("python3").args(["-c", VERSION]).status();
    if !has_python.is_ok_and(|status| status.success()) {
        writeln!(
            std::io::stderr(),
            "skipped: there is no python3, 3.11 or later"
        )
        .unwrap();
        return;
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("gateways/test_tools.py");
    let ended = Command::new("python3").arg(tests).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    assert!(said.contains("\nOK"), "{said}");
}
