"""What the clients of etcd's REST gateway check with: `expect` counts, `end` prints `N passed, N failed` and gives the exit code."""

failures = []
passed = 0


def expect(name, found, wanted):
    global passed
    if found == wanted:
        passed += 1
    else:
        failures.append(f"{name}: expected {wanted!r}, found {found!r}")


def end():
    for failure in failures:
        print(failure)
    print(f"{passed} passed, {len(failures)} failed", flush=True)
    return 1 if failures else 0
