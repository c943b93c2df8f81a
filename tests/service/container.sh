#!/bin/bash
# container.sh unshare|runc PROGRAM: process 1 of a container in which there is nothing but this static program and a registry, as
# `FROM scratch` has it: components run, are restarted, and end with the container. By `unshare` it is made by hand; by `runc` as Docker,
# Podman and containerd make theirs, with the few capabilities that it leaves. Ends with 77 where that makes no container here, and
# says why.
set -uo pipefail
engine=$1 program=$2
top=$(cd "$(dirname "$0")/../.." && pwd)
place=$(mktemp -d)
root=$place/rootfs
name=s7-${place##*/tmp.}
container=
end_it() {
    [[ -z $container ]] || kill -9 "$container" 2>/dev/null
    [[ $engine != runc ]] || runc delete --force "$name" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$place"
}
trap end_it EXIT

fail() {
    echo "FAILED: $*" >&2
    cat "$place/said" >&2
    exit 1
}

mkdir -p "$root"/{proc,dev}
cp "$program" "$root/s7supervisor"
cp -r "$top/examples/image-serving/conf" "$root/"
sed -i 's/<startDelay>5</<startDelay>0.2</' "$root/conf/SupervisorRegistry.xml"
: >"$place/said"
readelf --program-headers "$program" | grep INTERP >/dev/null && fail 'it is no static program'
supervisor=(run /conf/SupervisorRegistry.xml --output prefixed)

# run_by_ENGINE ARGUMENTS: the program with these as the container, until it ends, with its exit code.
run_by_unshare() {
    # What every container engine makes there.
    for device in null zero full random urandom; do : >"$root/dev/$device"; done
    root=$root exec unshare --mount --net bash -c 'for device in "$root"/dev/*; do mount --bind "/dev/${device##*/}" "$device"; done &&
        ip link set lo up && exec env -i PATH="$PATH" unshare --pid --fork --kill-child --ipc --uts --mount-proc=/proc --root="$root" "$@"' \
        - /s7supervisor "$@"
}
run_by_runc() {
    cd "$place" && rm -f config.json pid && runc spec || exit
    local arguments
    arguments=$(printf ', "%s"' /s7supervisor "$@")
    sed -i -e 's/"terminal": true/"terminal": false/' -e 's/"readonly": true/"readonly": false/' -e "s#^\\s*\"sh\"\$#${arguments:2}#" config.json
    exec runc run --pid-file "$place/pid" "$name"
}
if [[ $engine == runc ]] && ! (run_by_runc --version) >"$place/said" 2>&1; then
    cat "$place/said"
    exit 77
fi
"run_by_$engine" "${supervisor[@]}" >"$place/said" 2>&1 &
container=$!

# So long that only what is broken comes to it.
end=$((SECONDS + 60))
is_late() { ! kill -0 "$container" 2>/dev/null || ((SECONDS >= end)); }
# The pid of its process 1, as we see it.
first() {
    case $engine in
    unshare) cut -d ' ' -f 1 "/proc/$container/task/$container/children" 2>/dev/null ;;
    runc) cat "$place/pid" 2>/dev/null ;;
    esac
}
until [[ $(readlink "/proc/$(first)/exe") == */s7supervisor ]]; do ! is_late || fail 'it did not start'; done
first=$(first)
s7() {
    local command=(/s7supervisor --registry /conf/SupervisorRegistry.xml "$@")
    case $engine in
    unshare) nsenter --target "$first" --mount --pid --net --ipc --root --wdns=/ "${command[@]}" ;;
    runc) runc exec "$name" "${command[@]}" ;;
    esac
}
until s7 status >/dev/null 2>&1; do ! is_late || fail "they are not up: $(s7 status 2>&1)"; done
pid() {
    s7 status --json "$1" | sed -n '/"components"/,$ s/.*"pid": \([0-9]*\).*/\1/p'
}
before=$(pid ps)
s7 signal KILL ps >/dev/null || fail 'no signal reaches a component'
until [[ -n $(pid ps) && $(pid ps) != "$before" ]]; do ! is_late || fail 'it is not restarted'; done
# What is logged is passed on a moment later.
until grep '^the supervisor | .* ps: ended: SIGKILL' "$place/said" >/dev/null; do
    ! is_late || fail 'nothing is told on standard output'
done
kill -TERM "$first"
code=0
wait "$container" || code=$?
container=
[[ $code == 0 ]] || fail "it ended with $code"
ls "$root"/logs/Supervisor-*.log >/dev/null || fail 'it has no log'
echo "ok: $engine: ps was restarted ($before), and all ended in order"
