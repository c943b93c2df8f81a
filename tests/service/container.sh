#!/bin/bash
# container.sh PROGRAM: process 1 of a container in which there is nothing but this static program and a registry, as `FROM scratch`
# has it: components run, are restarted, and end with the container.
set -uo pipefail
program=$1
top=$(cd "$(dirname "$0")/../.." && pwd)
root=$(mktemp -d)
container=
trap '[[ -z $container ]] || kill -9 "$container" 2>/dev/null; wait 2>/dev/null; rm -rf "$root"' EXIT

fail() {
    echo "FAILED: $*" >&2
    cat "$root/said" >&2
    exit 1
}

mkdir "$root"/{proc,dev}
cp "$program" "$root/s7supervisor"
cp -r "$top/examples/image-serving/conf" "$root/"
sed -i 's/<startDelay>5</<startDelay>0.2</' "$root/conf/SupervisorRegistry.xml"
# What every container engine makes there.
for device in null zero full random urandom; do : >"$root/dev/$device"; done
: >"$root/said"
readelf --program-headers "$program" | grep --quiet INTERP && fail 'it is no static program'

export root
unshare --mount --net bash -c 'for device in "$root"/dev/*; do mount --bind "/dev/${device##*/}" "$device"; done && ip link set lo up &&
    exec env -i PATH="$PATH" unshare --pid --fork --kill-child --ipc --uts --mount-proc=/proc --root="$root" \
        /s7supervisor run /conf/SupervisorRegistry.xml --output prefixed' >"$root/said" 2>&1 &
container=$!

# So long that only what is broken comes to it.
end=$((SECONDS + 60))
first=
until [[ $(readlink "/proc/$first/exe") == */s7supervisor ]]; do
    kill -0 "$container" 2>/dev/null && ((SECONDS < end)) || fail "it did not start"
    read -r first _ 2>/dev/null <"/proc/$container/task/$container/children" || true
done
s7() {
    nsenter --target "$first" --mount --pid --net --ipc --root --wdns=/ /s7supervisor --registry /conf/SupervisorRegistry.xml "$@"
}
until s7 status >/dev/null 2>&1; do kill -0 "$container" 2>/dev/null && ((SECONDS < end)) || fail "they are not up: $(s7 status 2>&1)"; done
pid() {
    s7 status --json "$1" | sed -n '/"components"/,$ s/.*"pid": \([0-9]*\).*/\1/p'
}
before=$(pid ps)
s7 signal KILL ps >/dev/null || fail 'no signal reaches a component'
until [[ -n $(pid ps) && $(pid ps) != "$before" ]]; do ((SECONDS < end)) || fail 'it is not restarted'; done
grep --quiet '^the supervisor | .* ps: ended: SIGKILL' "$root/said" || fail 'nothing is told on standard output'
kill -TERM "$first"
code=0
wait "$container" || code=$?
container=
[[ $code == 0 ]] || fail "it ended with $code"
ls "$root"/logs/Supervisor-*.log >/dev/null || fail 'it has no log'
