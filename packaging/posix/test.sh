#!/usr/bin/env bash
# The part for macOS and the BSDs: whether it compiles for them, and how it does on Linux, where `--cfg s7_posix` puts it in the
# place of what only Linux has. Prints how long each part took.
#
# Runs on Debian 12, as root the first time: it installs what it needs. Nothing is left running. `docs/posix.md` says what this
# cannot tell. CARGO_TARGET_DIR names the folder of what is built.
#
#   packaging/posix/test.sh          everything
#   packaging/posix/test.sh check    only whether it compiles for macOS and FreeBSD
#   packaging/posix/test.sh run      only how it does on Linux
set -euo pipefail
exec </dev/null
cd "$(dirname "$0")/../.."

# Debian's own compiler, because the sources of its standard library are there too, which is checked for each system first.
readonly to_check=(rustc-web cargo-web rust-web-src)
readonly to_run=(procps util-linux)
readonly systems=(x86_64-apple-darwin x86_64-unknown-freebsd)
CARGO_TARGET_DIR=$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target/posix}")
export CARGO_TARGET_DIR
# Without what a debugger would want to know, which takes time and room.
export CARGO_PROFILE_DEV_DEBUG=${CARGO_PROFILE_DEV_DEBUG:-0}

main() {
    case ${1:-} in
    check) check ;;
    run) run ;;
    *)
        check
        run
        ;;
    esac
}

check() {
    install "${to_check[@]}"
    local system
    for system in "${systems[@]}"; do
        step "check for $system" env PATH=/usr/bin:/bin RUSTC_BOOTSTRAP=1 \
            cargo check --quiet -Z 'build-std=std,panic_unwind,panic_abort' --target "$system" --workspace
    done
}

run() {
    install "${to_run[@]}"
    export RUSTFLAGS='--cfg s7_posix'
    # The decisions are tried without it, in many more lives.
    export S7_SEEDS=${S7_SEEDS:-200}
    step 'the library' timeout 1200 cargo test --quiet --package supervisor --lib --tests
    step 'build the command line' cargo build --quiet --package s7supervisor
    step 'a life' timeout 200 packaging/posix/life.sh "$CARGO_TARGET_DIR/debug/s7supervisor"
}

install() {
    dpkg-query --show --showformat '${db:Status-Abbrev}\n' "$@" 2>/dev/null | grep -c '^ii' | grep --quiet --line-regexp $# && return
    export DEBIAN_FRONTEND=noninteractive
    apt-get update --quiet
    apt-get install --quiet --yes --no-install-recommends "$@"
}

# step NAME COMMAND...: runs it, and says how long it took.
step() {
    local name=$1 began=$SECONDS
    shift
    "$@"
    printf '%5d s  %s\n' $((SECONDS - began)) "$name"
}

main "$@"
