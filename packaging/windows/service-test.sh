#!/usr/bin/env bash
# The supervisor as a service, under Wine: installed, started, a component killed and back, stopped, removed; with figures.
#
#   packaging/windows/service-test.sh S7SUPERVISOR.EXE
#
# `test.sh` calls it, and makes the prefix of Wine (WINEPREFIX) in which it runs. It leaves neither a process nor a service behind.
set -euo pipefail
exec </dev/null

readonly program=$1
readonly name='Dynamic Media Image Serving'
# How long a component may take to be back after it was killed: what is wanted, and what is an error. Wine begins a process slowly
# where others want the processor too.
readonly back_within=100 never_later_than=2000

place=$WINEPREFIX/drive_c/s7-service-test
journal=$place/temp/journal.jsonl

main() {
    lay_out
    trap clean_up EXIT
    tell | expect '"installed": false' 'nothing is installed'

    supervisor service install --dry-run | expect 'would install' 'a dry run tells what it would do'
    tell | expect '"installed": false' 'and does nothing'
    supervisor service install | expect 'installed the service' 'installed'
    tell | expect '"state": "inactive"' 'it was never started'

    local began
    began=$(now)
    wine net start "$name" >/dev/null || fail 'net start'
    # Wine's `net` does not wait.
    supervisor service start | expect 'running' 'started'
    figure 'net start, until all are up' "$began"
    tell | expect '"state": "active"' 'it runs'
    ask status --json >"$place/status" || fail "status: $(cat "$place/status")"
    [[ $(grep -c '"state": "up"' "$place/status") -eq 3 ]] || fail "three are up: $(cat "$place/status")"

    local killed
    killed=$(ask status --json b | field pid | tail -1)
    wine taskkill /PID "$killed" /F >/dev/null || fail "taskkill $killed"
    local back=$killed tries=0
    # Its end is noticed a moment after whoever has killed it has ended.
    until [[ $back != "$killed" && $back != null ]]; do
        ((++tries < 50)) || fail 'b is not back'
        # On its way it is not up, which the exit code says.
        back=$(ask status --json b | field pid | tail -1) || true
    done
    told_back

    if wine sc control "$name" 200 >/dev/null; then
        ask wait a b c --for started --timeout 20s >/dev/null || fail 'not all are back'
    else
        echo '            not tried: the sc of this Wine sends no control codes (200: restart all)'
    fi

    began=$(now)
    wine net stop "$name" >/dev/null || fail 'net stop'
    supervisor service stop | expect 'stopped' 'stopped'
    figure 'net stop, until all is gone' "$began"
    # A service has stopped a moment before its process ends.
    tries=0
    while [[ -n $(processes) ]]; do
        ((++tries < 50)) || fail "processes are left: $(processes)"
    done
    ask status >/dev/null 2>&1 && fail 'a supervisor still answers'
    supervisor service uninstall | expect 'removed the service' 'removed'
    tell | expect '"installed": false' 'it is gone'
    echo 'the service: all as it should be'
}

lay_out() {
    rm -rf "$place"
    mkdir -p "$place/conf" "$place/logs"
    cp "$program" "$place/s7supervisor.exe"
    {
        echo '<supervisor><config><log>SV::installFolder\logs\Supervisor.log</log>'
        echo '<temp>SV::installFolder\temp</temp></config><servers>'
        for id in a b c; do
            cat <<SERVER
<server id="$id"><executable>SV::supervisorExecutable</executable>
<arguments><argument>stand-in</argument><argument>--name</argument><argument>$id</argument></arguments>
<stopTimeout>5</stopTimeout></server>
SERVER
        done
        echo '</servers></supervisor>'
    } >"$place/conf/SupervisorRegistry.xml"
}

supervisor() {
    (cd "$place" && wine s7supervisor.exe --registry 'C:\s7-service-test\conf\SupervisorRegistry.xml' \
        --install-folder 'C:\s7-service-test' "$@") | tr -d '\r'
}

# What the service does, whatever exit code says the same.
tell() { supervisor service status --json || true; }

# Asks the running supervisor, by TCP with its token.
ask() { supervisor "$@"; }

# field NAME: its values in a JSON document, one a line.
field() { grep -o "\"$1\": *[^,}]*" | sed 's/.*: *//; s/"//g'; }

# expect TEXT WHAT: what comes in has this in it.
expect() {
    local said
    said=$(cat)
    grep --quiet --fixed-strings -- "$1" <<<"$said" || fail "$2: $said"
}

# How long it was from the end of the killed run to the beginning of the next, by the journal.
told_back() {
    local exited spawned
    exited=$(moment exited)
    spawned=$(moment spawned)
    local took=$((spawned - exited))
    printf '%8d ms  killed, and running again\n' "$took"
    ((took <= back_within)) || echo "            which is more than the $back_within ms that are wanted"
    ((took >= 0 && took <= never_later_than)) || fail "it took longer than $never_later_than ms"
}

# moment KIND: when that happened last to b, in milliseconds.
moment() {
    local time
    time=$(grep '"component":"b"' "$journal" | grep "\"event\":\"$1\"" | tail -1 | sed 's/.*"time":"\([^"]*\)".*/\1/')
    date --date "$time" +%s%3N
}

now() { date +%s%3N; }

figure() { printf '%8d ms  %s\n' $(($(now) - $2)) "$1"; }

# The processes of this test, as the host sees them.
processes() {
    local process
    for process in /proc/[0-9]*; do
        tr '\0' ' ' 2>/dev/null <"$process/cmdline" | grep --quiet 's7-service-test' && echo "${process#/proc/}"
    done | sort -n | tr '\n' ' '
}

fail() {
    echo "service-test: $1" >&2
    exit 1
}

clean_up() {
    wine net stop "$name" >/dev/null 2>&1 || true
    wine sc delete "$name" >/dev/null 2>&1 || true
    rm -rf "$place"
}

main "$@"
