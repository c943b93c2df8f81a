#!/usr/bin/env bash
# A life of the command line with the POSIX part: begun in the background, components killed, restarted and stopped, the supervisor
# killed and begun again.
#
#   packaging/posix/life.sh S7SUPERVISOR
#
# `test.sh` calls it. It leaves no process behind.
set -euo pipefail
exec </dev/null

program=$(realpath "$1")
readonly program
place=$(mktemp -d)
readonly place
readonly journal=$place/temp/journal.jsonl

main() {
    trap clean_up EXIT
    lay_out
    s7 start | expect 'started, pid' 'started in the background'
    s7 status --json >"$place/status"
    [[ $(grep -c '"state": "up"' "$place/status") -eq 3 ]] || fail "three are up: $(cat "$place/status")"
    grep --quiet '"memory": *[1-9]' "$place/status" || fail "memory is told: $(cat "$place/status")"
    s7 status family | expect 'sleep' 'the processes of a component are told'
    s7 logs family | expect 'hello from family' 'its output is kept'

    local before
    before=$(pid_of stand)
    kill -KILL "$before"
    s7 wait stand --for started --timeout 20s >/dev/null || true
    until [[ $(pid_of stand) != "$before" && $(pid_of stand) != null ]]; do sleep 0.1; done
    told_back

    before=$(pid_of family)
    s7 restart family | expect 'family' 'restarted'
    [[ $(pid_of family) != "$before" ]] || fail 'family is another process'
    ps -A -o pgid=,stat= | grep --invert-match Z | grep --quiet --word-regexp "$before" && fail "something of the group $before is left"

    # What a supervisor that is killed leaves behind is named, and no second one is begun beside it.
    local supervisor component
    supervisor=$(cat "$place/temp/s7supervisor.pid")
    component=$(pid_of stand)
    kill -KILL "$supervisor"
    while kill -0 "$supervisor" 2>/dev/null; do sleep 0.1; done
    s7 start 2>&1 | expect "kill -TERM -$component" 'what still runs is named'
    for group in $(groups); do kill -KILL -- "-$group" || true; done
    while [[ -n $(processes) ]]; do sleep 0.1; done
    s7 start | expect 'started, pid' 'started again'

    s7 upgrade 2>&1 | expect 'no other program can take over' 'an upgrade is refused'
    s7 stop | expect 'stopped' 'stopped'
    [[ -z $(processes) ]] || fail "processes are left: $(processes)"
    echo 'a life: all as it should be'
}

lay_out() {
    mkdir -p "$place/conf" "$place/logs"
    cat >"$place/conf/SupervisorRegistry.xml" <<XML
<supervisor><config><log>SV::installFolder/logs/Supervisor.log</log><temp>SV::installFolder/temp</temp></config><servers>
<server id="stand"><executable>SV::supervisorExecutable</executable>
<arguments><argument>stand-in</argument><argument>--name</argument><argument>$place</argument></arguments></server>
<server id="family"><executable>/bin/sh</executable>
<arguments><argument>-c</argument><argument>: $place; echo hello from family; sleep 1000 &amp; wait</argument></arguments></server>
<server id="told"><executable>/bin/sh</executable>
<arguments><argument>-c</argument><argument>: $place; echo &gt;&amp;9; sleep 1000; :</argument></arguments>
<readiness><notifyFd>9</notifyFd></readiness></server>
</servers></supervisor>
XML
}

s7() { "$program" --registry "$place/conf/SupervisorRegistry.xml" --install-folder "$place" "$@" || true; }

# The pid of a component; that of the supervisor stands before.
pid_of() { s7 status "$1" --json | tr -d '\n' | sed 's/.*"components"//' | grep -o '"pid": *[^,}]*' | head -1 | sed 's/.*: *//'; }

expect() {
    local said
    said=$(cat)
    grep --quiet --fixed-strings -- "$1" <<<"$said" || fail "$2: $said"
    printf '         ok  %s\n' "$2"
}

# How long it was from the end of the killed run to the beginning of the next, by the journal.
told_back() {
    printf '%8d ms  killed, and running again\n' $(($(moment spawned) - $(moment exited)))
}

moment() {
    local time
    time=$(grep '"component":"stand"' "$journal" | grep "\"event\":\"$1\"" | tail -1 | sed 's/.*"time":"\([^"]*\)".*/\1/')
    date --date "$time" +%s%3N
}

# The processes of this test: each has the folder in its command line.
processes() { ps -A -o pid=,args= | grep --invert-match defunct | grep --fixed-strings "$place" | grep --invert-match grep | awk '{ print $1 }' | tr '\n' ' '; }

groups() { ps -A -o pgid=,args= | grep --invert-match defunct | grep --fixed-strings "$place" | grep --invert-match grep | awk '{ print $1 }' | sort -u; }

fail() {
    echo "FAILED: $1" >&2
    exit 1
}

clean_up() {
    local pid
    for pid in $(processes); do kill -KILL "$pid" 2>/dev/null || true; done
    rm -rf "$place"
}

main
