#!/bin/bash
# From a clean Debian machine to the documented registry under systemd, through kills, reloads and an upgrade of the package, to the
# purge. /packages holds two versions of the package.
. /machine/tests/service/lib.sh
export DEBIAN_FRONTEND=noninteractive
old=$(ls /packages/*-1_*.deb) new=$(ls /packages/*-2_*.deb)
export S7_REGISTRY=/etc/s7supervisor/SupervisorRegistry.xml S7_INSTALL_FOLDER=/var/lib/s7supervisor

check 'the package is installed' dpkg --install "$old"
check 'the unit is as systemd wants it' systemd-analyze verify --man=no --recursive-errors=one ImageServing.service
same 'the service runs' "$(property ActiveState)" active
same 'and starts with the system' "$(systemctl is-enabled ImageServing)" enabled
same 'as its own account' "$(stat -c %U "/proc/$(property MainPID)")" s7supervisor
same 'whose folders nobody else enters' "$(stat -c '%a %U' /var/lib/s7supervisor /var/lib/s7supervisor/temp /var/log/s7supervisor | xargs)" \
    '700 s7supervisor 700 s7supervisor 750 s7supervisor'
same 'nor reads its registry' "$(stat -c '%a %U %G' /etc/s7supervisor/SupervisorRegistry.xml)" '640 root s7supervisor'

# The documented registry.
examples=/usr/share/doc/s7supervisor/examples/image-serving/conf
cp "$examples"/Supervisor{Registry,Profiles}.xml /etc/s7supervisor/
sed -i -e 's/<startDelay>5</<startDelay>0.2</' -e 's#SV::log#/var/log/s7supervisor/Supervisor.log#' \
    -e 's#SV::temp#/var/lib/s7supervisor/temp#' /etc/s7supervisor/SupervisorRegistry.xml
chown root:s7supervisor /etc/s7supervisor/*.xml
check 'the documented registry is right' s7 check
check 'it takes effect' systemctl restart ImageServing
check 'all components are up' ImageServing.sh status
before=$(pids)
same 'three of them' "$(wc -w <<<"$before")" 3
main=$(property MainPID)
kill -9 "$main"
until_so 'it is begun anew after a kill' eval '[[ $(property MainPID) != "$main" && $(property ActiveState) == active ]]'
same 'a kill leaves every component alone' "$(pids)" "$before"
check 'reload' systemctl reload ImageServing
same 'a reload leaves every component alone' "$(pids)" "$before"
main=$(property MainPID)
check 'the package is upgraded' dpkg --install "$new"
grep --quiet 'the old program runs on' /tmp/said && fail 'the program was not replaced'
same 'an upgrade of the package leaves every component alone' "$(pids)" "$before"
same 'and the process' "$(property MainPID)" "$main"
same 'which is the new program now' "$(readlink "/proc/$main/exe")" /usr/bin/s7supervisor
check 'the changed registry is kept' grep --quiet 'PlatformServer' /etc/s7supervisor/SupervisorRegistry.xml

check 'stop' systemctl stop ImageServing
for pid in $before "$main"; do ends "$pid has ended" 1 test -e "/proc/$pid"; done
check 'upgraded while it is stopped' dpkg --install "$new"
same 'that starts nothing' "$(property ActiveState)" inactive

# Removed, installed again, purged.
check 'start' systemctl start ImageServing
before=$(pids)
check 'removed' dpkg --remove s7supervisor
for pid in $before; do ends "$pid has ended" 1 test -e "/proc/$pid"; done
check 'the registry is kept' test -e /etc/s7supervisor/SupervisorRegistry.xml
check 'installed again' dpkg --install "$new"
same 'it runs again' "$(property ActiveState)" active
check 'purged' dpkg --purge s7supervisor
left=$(find /etc /lib /usr /var /run /opt /srv /home -xdev \( -iname '*s7supervisor*' -o -iname '*ImageServing*' \) -newer /machine-began -print)
same 'nothing is left but the logs' "$(grep -v '^/var/log/s7supervisor' <<<"$left")" ''
check 'the logs are' ls /var/log/s7supervisor/Supervisor-*.log
ends 'the account is gone' 2 getent passwd s7supervisor
