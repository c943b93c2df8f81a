#!/usr/bin/env bash
# The supervisor as a service, under Wine: installed, started, its components killed and back, restarted, paused, continued, stopped,
# removed; with figures.
#
#   packaging/windows/service-test.sh S7SUPERVISOR.EXE
#
# `test.sh` calls it, and makes the prefix of Wine (WINEPREFIX) in which it runs. It leaves neither a process nor a service behind.
set -euo pipefail
exec </dev/null
cd "$(dirname "$0")/../.."
. packaging/windows/ground.sh

readonly name=$mark
# How long a component may take to be back after it was killed: what is wanted, and what is an error. Wine begins a process slowly
# where others want the processor too.
readonly back_within=100 never_later_than=2000

main() {
    trap clean_up EXIT
    lay_out "$1"
    x86_64-w64-mingw32-gcc -municode -O2 -s -o "$place/control.exe" packaging/windows/control.c
    is_installed_and_started
    is_back_after_a_kill
    does_what_the_manager_asks_for
    stops_and_is_removed
    echo 'the service: all as it should be'
}

is_installed_and_started() {
    tell | expect '"installed": false' 'nothing is installed'
    service install --dry-run | expect 'would install' 'a dry run tells what it would do'
    tell | expect '"installed": false' 'and does nothing'
    service install | expect 'installed the service' 'installed'
    tell | expect '"state": "inactive"' 'it was never started'

    local began
    began=$(now)
    wine net start "$name" >/dev/null || fail 'net start'
    # Wine's `net` does not wait.
    service start | expect 'running' 'started'
    figure 'net start, until all are up' "$began"
    tell | expect '"state": "active"' 'it runs'
    [[ $(up) -eq 3 ]] || fail "three are up: $(supervisor status)"
}

is_back_after_a_kill() {
    local id killed best=$((never_later_than + 1)) took
    for id in is svg ps; do
        killed=$(pid_of $id)
        wine taskkill /PID "$killed" /F >/dev/null || fail "taskkill $killed"
        # Its end is noticed a moment after whoever has killed it has ended.
        until_so "$id is back" runs_anew $id "$killed"
        took=$(($(moment spawned $id) - $(moment exited $id)))
        ((took >= 0 && took <= never_later_than)) || fail "$id was back after $took ms, not within $never_later_than ms"
        printf '%8d ms  %s killed, and running again\n' "$took" $id
        ((took >= best)) || best=$took
    done
    ((best <= back_within)) || echo "            of which none is within the $back_within ms that are wanted"
}

# runs_anew ID PID: as another process than that.
runs_anew() {
    local pid
    pid=$(pid_of "$1")
    [[ -n $pid && $pid != null && $pid != "$2" ]]
}

# moment KIND ID: when that happened last to it, in milliseconds.
moment() {
    local time
    time=$(grep "\"component\":\"$2\"" "$place/temp/journal.jsonl" | grep "\"event\":\"$1\"" | tail -1 |
        sed 's/.*"time":"\([^"]*\)".*/\1/')
    date --date "$time" +%s%3N
}

does_what_the_manager_asks_for() {
    local id began
    local -A before
    for id in is svg ps; do before[$id]=$(pid_of $id); done
    control 200
    for id in is svg ps; do until_so "$id was restarted" runs_anew $id "${before[$id]}"; done

    began=$(now)
    control 2
    until_so 'it is paused' state_is paused
    figure 'pause' "$began"
    [[ $(up) -eq 0 ]] || fail "none is up: $(supervisor status)"
    { supervisor status || true; } | expect 'stopped' 'it still answers'

    began=$(now)
    control 3
    until_so 'it goes on' state_is active
    figure 'continue' "$began"
    [[ $(up) -eq 3 ]] || fail "three are up again: $(supervisor status)"
}

stops_and_is_removed() {
    local began
    began=$(now)
    wine net stop "$name" >/dev/null || fail 'net stop'
    service stop | expect 'stopped' 'stopped'
    figure 'net stop, until all is gone' "$began"
    # A service has stopped a moment before its process ends.
    until_so 'all processes have ended' nothing_runs
    supervisor status >/dev/null 2>&1 && fail 'a supervisor still answers'
    service uninstall | expect 'removed the service' 'removed'
    # The manager forgets it when nobody holds it any more.
    until_so 'it is gone' is_not_installed
}

service() { supervisor service "$@" --name "$name"; }

# What the service does, whatever exit code says the same.
tell() { service status --json || true; }

state_is() { tell | grep --quiet "\"state\": \"$1\""; }

is_not_installed() { tell | grep --quiet '"installed": false'; }

control() { wine "$home\\control.exe" "$name" "$1" || fail "control code $1"; }

clean_up() {
    wine net stop "$name" >/dev/null 2>&1 || true
    wine sc delete "$name" >/dev/null 2>&1 || true
    rm -rf "$place"
}

main "$@"
