# What the tests under Wine stand on, which source this: an installation of its own in WINEPREFIX, and words to say what is wanted.

# Of this run alone: what an earlier one has left behind is nobody's.
readonly mark=s7-test-$$
readonly place=$WINEPREFIX/drive_c/$mark
readonly home="C:\\$mark"
# How often something is looked at that comes by itself. Each look begins a process, which is slow enough.
readonly looks=100

# An installation as documented, with the three components as stand-ins.
lay_out() {
    mkdir -p "$place"/{bin,conf,logs}
    cp "$1" "$place/bin/s7supervisor.exe"
    cp packaging/windows/ImageServing.bat "$place/bin"
    {
        echo '<supervisor><config><log>SV::installFolder\logs\Supervisor.log</log>'
        echo '<temp>SV::installFolder\temp</temp></config><servers>'
        stand_in is 1
        stand_in svg 1
        stand_in ps 2
        echo '</servers></supervisor>'
    } >"$place/conf/SupervisorRegistry.xml"
}

# stand_in ID PRIORITY
stand_in() {
    cat <<SERVER
<server id="$1"><executable>SV::supervisorExecutable</executable>
<arguments><argument>stand-in</argument><argument>--name</argument><argument>$1</argument></arguments>
<startPriority>$2</startPriority><stopTimeout>5</stopTimeout></server>
SERVER
}

supervisor() {
    wine "$home\\bin\\s7supervisor.exe" --registry "$home\\conf\\SupervisorRegistry.xml" --install-folder "$home" "$@" | tr -d '\r'
}

# The pid of a component, or null.
pid_of() { supervisor status --json "$1" | field pid | tail -1 || true; }

# How many components are up.
up() { supervisor status --json | grep -c '"state": "up"' || true; }

# field NAME: its values in a JSON document, one a line.
field() { grep -o "\"$1\": *[^,}]*" | sed 's/.*: *//; s/"//g'; }

# expect TEXT WHAT: what comes in has this in it.
expect() {
    local said
    said=$(cat)
    grep --quiet --fixed-strings -- "$1" <<<"$said" || fail "$2: $said"
}

# until_so WHAT COMMAND...: looks until it succeeds.
until_so() {
    local what=$1 tries=0
    shift
    until "$@"; do
        ((++tries < looks)) || fail "waited in vain: $what"
    done
}

# The processes of this test, as the host sees them.
processes() {
    local process
    for process in /proc/[0-9]*; do
        tr '\0' ' ' 2>/dev/null <"$process/cmdline" | grep --quiet --fixed-strings "$mark\\" && echo "${process#/proc/}"
    done | sort -n | tr '\n' ' '
}

nothing_runs() { [[ -z $(processes) ]]; }

now() { date +%s%3N; }

# figure WHAT SINCE: says how long that took.
figure() { printf '%8d ms  %s\n' $(($(now) - $2)) "$1"; }

fail() {
    echo "${0##*/}: $1" >&2
    exit 1
}
