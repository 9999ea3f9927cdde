//! Where there is no ring to be had: `auto` runs on epoll and says why, `uring` is an error.
//!
//! Each case is this test program once more, as a child in an environment without rings.

use std::process::Command;

use transom::net::{IoChoice, IoDriver, Runtime};

/// Set for the child.
const CHILD: &str = "TRANSOM_TEST_CHILD";

const WITHOUT_A_RING: &str = "without_a_ring_auto_runs_on_epoll_and_uring_is_an_error";

#[test]
fn without_a_ring_auto_runs_on_epoll_and_uring_is_an_error() {
    if std::env::var_os(CHILD).is_none() {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", WITHOUT_A_RING])
            .env(CHILD, "1")
            .env("MONOIO_FORCE_LEGACY_DRIVER", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let mut runtime = Runtime::build(IoChoice::Auto).unwrap();
    let report = runtime.report();
    assert_eq!(report.driver, IoDriver::Epoll);
    assert!(report.reason.contains("not available"), "{report:?}");
    assert_eq!(runtime.block_on(async { 7 }), 7);

    let error = Runtime::build(IoChoice::Uring).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("io: no ring to be had"), "{text}");
}

#[test]
fn epoll_is_taken_when_it_is_asked_for() {
    let runtime = Runtime::build(IoChoice::Epoll).unwrap();
    assert_eq!(runtime.report().driver, IoDriver::Epoll);
    assert_eq!(runtime.report().reason, "");
}
