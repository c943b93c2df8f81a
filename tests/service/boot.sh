#!/bin/bash
# boot.sh systemd|bare COMMAND...: a machine of its own for a command: its own processes, mounts, network and control groups, over an
# overlay of this one, of which nothing is changed. `systemd` boots with systemd as process 1; in `bare` there is no service
# manager. BOOT_PROGRAM, if any, is /usr/bin/s7supervisor there, the folder BOOT_SHARED is /machine, BOOT_PACKAGES /packages. Ends with the exit code of the command, when nothing of the machine is left.
set -euo pipefail
kind=$1
shift

if [[ ${BOOT_STAGE:-} == inside ]]; then
    # We are process 1 here. What is mounted is seen by nobody outside.
    mount --make-rprivate /
    mount -t tmpfs -o mode=0755 machine "$BOOT_FOLDER"
    cd "$BOOT_FOLDER"
    mkdir upper work root
    mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
    # Units that a machine like this one does not need.
    for unit in systemd-tmpfiles-setup systemd-tmpfiles-setup-dev systemd-udevd systemd-udev-trigger systemd-random-seed \
        systemd-update-utmp systemd-sysctl systemd-modules-load systemd-timesyncd systemd-resolved; do
        ln -sf /dev/null "root/etc/systemd/system/$unit.service"
    done
    # Nor shall an installation make an index of all manual pages.
    rm -f root/etc/systemd/system/*.wants/* root/usr/sbin/policy-rc.d root/etc/machine-id root/var/lib/man-db/auto-update
    : >root/etc/fstab
    echo 0123456789abcdef0123456789abcdef >root/etc/machine-id
    for folder in proc sys dev run tmp; do mkdir -p "root/$folder"; done
    mount -t proc proc root/proc
    mount -t sysfs sysfs root/sys
    mount -t cgroup2 cgroup2 root/sys/fs/cgroup
    mount --rbind /dev root/dev
    mount -t tmpfs -o mode=0755 run root/run
    mount -t tmpfs -o mode=1777 tmp root/tmp
    [[ -z ${BOOT_PROGRAM:-} ]] || cp "$BOOT_PROGRAM" root/usr/bin/s7supervisor
    # The sources and what was made of them, to be read.
    mkdir root/machine root/packages
    mount --bind "$BOOT_SHARED" root/machine
    [[ -z ${BOOT_PACKAGES:-} ]] || mount --bind "$BOOT_PACKAGES" root/packages
    : >root/machine-began
    ip link set lo up
    cd root
    pivot_root . mnt
    umount -l /mnt
    if [[ $kind == systemd ]]; then
        exec env -i container=s7 PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=basic.target \
            --show-status=false --log-target=journal </dev/null >/dev/null 2>&1
    fi
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin sleep infinity </dev/null >/dev/null 2>&1
fi

BOOT_FOLDER=$(mktemp -d)
export BOOT_FOLDER BOOT_PROGRAM=${BOOT_PROGRAM:-} BOOT_SHARED BOOT_PACKAGES=${BOOT_PACKAGES:-} BOOT_STAGE=inside
unshare --mount --pid --fork --uts --ipc --net --cgroup --kill-child "$0" "$kind" &
machine=$!
trap 'kill -9 "$machine" 2>/dev/null; wait "$machine" 2>/dev/null || true; rmdir "$BOOT_FOLDER"' EXIT
first=
until [[ -n $first ]]; do
    kill -0 "$machine"
    read -r first _ <"/proc/$machine/task/$machine/children" || true
done

enter() {
    nsenter -t "$first" -m -p -u -i -n -C env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"
}

# Booted when process 1 is no longer this script, and, of systemd, when it says so itself.
until [[ $(readlink "/proc/$first/exe") =~ /(systemd|sleep)$ ]]; do kill -0 "$machine"; done
if [[ $kind == systemd ]]; then
    enter timeout 60 bash -c 'until [ -S /run/systemd/private ]; do :; done; systemctl is-system-running --wait >/dev/null || true'
fi
enter "$@"
