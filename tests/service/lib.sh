# What the scripts in this folder share. Each runs inside a machine of its own: see boot.sh.
set -uo pipefail

fail() {
    echo "FAILED: $*" >&2
    journalctl --no-pager --lines 40 2>/dev/null >&2
    exit 1
}

# check WHAT COMMAND...: it succeeds. How long it took is told.
check() {
    local what=$1 began=${EPOCHREALTIME/./}
    shift
    "$@" >/tmp/said 2>&1 || { local code=$?; cat /tmp/said >&2; fail "$what (exit code $code: $*)"; }
    echo "ok: $what ($(((${EPOCHREALTIME/./} - began) / 1000)) ms)"
}

# said TEXT: the last command that was checked has said this.
said() {
    grep --quiet --fixed-strings "$1" /tmp/said || { cat /tmp/said >&2; fail "it does not say: $1"; }
}

# ends WHAT CODE COMMAND...: it ends with this exit code.
ends() {
    local what=$1 expected=$2 code=0
    shift 2
    "$@" >/tmp/said 2>&1 || code=$?
    [[ $code == "$expected" ]] || { cat /tmp/said >&2; fail "$what: exit code $code, not $expected ($*)"; }
    echo "ok: $what"
}

# same WHAT ONE OTHER: they are the same.
same() {
    [[ $2 == "$3" ]] || fail "$1: '$2' is not '$3'"
    echo "ok: $1${2:+: $2}"
}

# until_so WHAT COMMAND...: it comes to succeed, within a minute.
until_so() {
    local what=$1 end=$((SECONDS + 60)) began=${EPOCHREALTIME/./}
    shift
    until "$@" >/dev/null 2>&1; do ((SECONDS < end)) || fail "waited in vain: $what"; done
    echo "ok: $what ($(((${EPOCHREALTIME/./} - began) / 1000)) ms)"
}

# pids [ID...]: those of the components, in start order.
pids() {
    s7 status --json "$@" | sed -n '/"components"/,$ s/.*"pid": \([0-9]*\).*/\1/p' | xargs
}

# property NAME: what systemd says of the service.
property() {
    systemctl show --value --property="$1" ImageServing
}

# The control script and the registry that are documented, where they belong.
lay_out() {
    install_folder=$1
    mkdir -p "$install_folder/bin"
    cp /machine/packaging/ImageServing.sh "$install_folder/bin/"
    cp -r /machine/examples/image-serving/conf "$install_folder/"
    sed -i 's/<startDelay>5</<startDelay>0.2</' "$install_folder/conf/SupervisorRegistry.xml"
    export S7_REGISTRY=$install_folder/conf/SupervisorRegistry.xml
}

s7() {
    s7supervisor "$@"
}
