#!/usr/bin/env bash
# Builds the tests for Windows and runs them under Wine; prints how long each part took.
#
# Runs on Debian 12, as root the first time: it installs what it needs. Nothing is left running. `docs/windows.md` says what Wine
# cannot tell. S7_WINE names the folder of the prefix, CARGO_TARGET_DIR that of what is built.
#
#   packaging/windows/test.sh          everything
#   packaging/windows/test.sh check    only whether it compiles, and what clippy says
set -euo pipefail
exec </dev/null
cd "$(dirname "$0")/../.."

# Debian's own compiler, because the sources of its standard library are there too, which is built for Windows first.
readonly to_check=(rustc-web cargo-web rust-web-src rust-web-clippy gcc-mingw-w64-x86-64-win32)
readonly to_run=(wine wine64)
export PATH=/usr/bin:/bin RUSTC_BOOTSTRAP=1
CARGO_TARGET_DIR=$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target/windows}")
export CARGO_TARGET_DIR
# Without what a debugger would want to know, which takes time and room.
export CARGO_PROFILE_DEV_DEBUG=${CARGO_PROFILE_DEV_DEBUG:-0}
readonly target=(-Z 'build-std=std,panic_unwind,panic_abort' --target x86_64-pc-windows-gnu)

# Whose tests run there: the library with its suites, and the units of the command line, of which the whole program is tried too. The
# control interface is only compiled.
readonly library=(--package supervisor --lib --tests)
readonly program=(--package s7supervisor --bins)
readonly rest=(--package supervisor-control --lib "${program[@]}")

main() {
    install "${to_check[@]}"
    if [[ ${1:-} == check ]]; then
        step 'clippy: the library' clippy "${library[@]}"
        step 'clippy: the rest' clippy "${rest[@]}" --profile test
        return
    fi
    install "${to_run[@]}"
    step 'build the tests' cargo test --no-run --quiet "${target[@]}" "${library[@]}"
    step 'build the program' cargo build --quiet "${target[@]}" "${program[@]}"
    step 'build its tests' cargo test --no-run --quiet "${target[@]}" "${program[@]}"
    step 'prefix' make_prefix
    export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=wine
    # What a test that hangs would hold up. The decisions are tried on Linux, in many more lives.
    export S7_SEEDS=${S7_SEEDS:-200}
    # The one that is left out makes thousands of files, which takes minutes there.
    tests 'the library' --package supervisor --lib -- --skip however_it_is_chunked
    for suite in life engine registry windows; do
        tests "$suite" --package supervisor --test "$suite"
    done
    tests 'the command line' "${program[@]}"
    local built=$CARGO_TARGET_DIR/x86_64-pc-windows-gnu/debug/s7supervisor.exe
    step 'the service' timeout 400 packaging/windows/service-test.sh "$built"
    step 'the control script' timeout 400 packaging/windows/console-test.sh "$built"
}

# By its own name: as a word of cargo it would be that of another compiler, where there is one.
clippy() { cargo-clippy clippy --quiet "${target[@]}" "$@" -- -D warnings; }

# tests NAME ARGUMENT...: runs one program of tests, as a step. That must say how it ended: Wine lets one that it has lost end as if all were
# well. What it says goes to a file, because whatever a program has left behind would hold a pipe.
tests() {
    local name=$1 said=$CARGO_TARGET_DIR/said code=0
    shift
    step "$name" timeout 400 cargo test --quiet "${target[@]}" "$@" >"$said" 2>&1 || code=$?
    cat "$said"
    [[ $code -eq 0 ]] && grep --quiet '^test result: ok' "$said" && return
    echo "$name: exit code $code, or no result" >&2
    return 1
}

install() {
    dpkg-query --show --showformat '${db:Status-Abbrev}\n' "$@" 2>/dev/null | grep -c '^ii' | grep --quiet --line-regexp $# && return
    export DEBIAN_FRONTEND=noninteractive
    apt-get update --quiet
    apt-get install --quiet --yes --no-install-recommends "$@"
}

# A folder that is a machine to Wine. It needs no display.
make_prefix() {
    export WINEPREFIX=${S7_WINE:-$CARGO_TARGET_DIR/wine} WINEARCH=win64 WINEDEBUG=-all WINEDLLOVERRIDES='mscoree=;mshtml='
    unset DISPLAY
    trap 'wineserver --kill || true' EXIT
    mkdir -p "$WINEPREFIX"
    # Else the machine goes off whenever nothing runs, and each time that it comes up again a service that is installed is started.
    wineserver --kill || true
    wineserver --persistent
    [[ -e $WINEPREFIX/ready ]] && return
    wineboot --init
    # Wine 8.0 lacks this library, of which the standard library needs one function; without it a program ends at once.
    local dll=$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll
    x86_64-w64-mingw32-gcc -shared -O2 -s -o "$dll" packaging/windows/random.c -ladvapi32
    wine reg add 'HKCU\Software\Wine' /v Version /d win10 /f >/dev/null
    # On a machine that has just been made, a service that is installed is not found. So it comes up once more, as one that was there.
    wineserver --kill || true
    wineserver --wait
    wineserver --persistent
    touch "$WINEPREFIX/ready"
}

# step NAME COMMAND...: runs it, and says how long it took.
step() {
    local name=$1 began=$SECONDS
    shift
    "$@"
    printf '%5d s  %s\n' $((SECONDS - began)) "$name"
}

main "$@"
