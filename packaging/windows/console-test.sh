#!/usr/bin/env bash
# The documented control script on a console, under Wine's cmd: start, status, restart and stop, of all and of one.
#
#   packaging/windows/console-test.sh S7SUPERVISOR.EXE
#
# `test.sh` calls it, and makes the prefix of Wine (WINEPREFIX) in which it runs. It leaves no process behind.
set -euo pipefail
exec </dev/null
cd "$(dirname "$0")/../.."
. packaging/windows/ground.sh

main() {
    trap clean_up EXIT
    lay_out "$1"
    script 3 status
    local began before
    began=$(now)
    script 0 start
    figure 'start, until all are up' "$began"
    [[ $(up) -eq 3 ]] || fail "three are up: $(supervisor status)"
    script 0 status
    script 0 status ps
    expect 'ps' 'the status of one' <"$place/said"

    before=$(pid_of ps)
    script 0 restart ps
    [[ $(pid_of ps) != "$before" ]] || fail 'ps was not restarted'
    before=$(pid_of is)
    script 0 restart
    [[ $(pid_of is) != "$before" ]] || fail 'is was not restarted'
    [[ $(up) -eq 3 ]] || fail "three are up again: $(supervisor status)"

    script 4 status --json
    expect 'no component' 'an ID is never an option' <"$place/said"
    for wrong in '' bad 'start ps' 'restart ps is'; do
        # shellcheck disable=SC2086 # Several words.
        script 2 $wrong
    done
    began=$(now)
    script 0 stop
    figure 'stop' "$began"
    script 3 status
    until_so 'all processes have ended' nothing_runs
    echo 'the control script: all as it should be'
}

# script CODE WORD...: the script ends with this exit code. What it says is in `said`: a pipe would be held by what it starts.
script() {
    local wanted=$1 code=0
    shift
    wine cmd /c "$home\\bin\\ImageServing.bat" "$@" >"$place/said" 2>&1 || code=$?
    [[ $code -eq $wanted ]] || fail "ImageServing.bat $* ended with $code, not $wanted: $(cat "$place/said")"
}

clean_up() {
    [[ -z $(processes) ]] || wine cmd /c "$home\\bin\\ImageServing.bat" stop >/dev/null 2>&1 || true
    rm -rf "$place"
}

main "$@"
