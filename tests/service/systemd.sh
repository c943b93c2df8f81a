#!/bin/bash
# The service under a real systemd: what is installed, when it is ready, what it survives, and what stops it.
. /machine/tests/service/lib.sh
lay_out /usr/local/scene7/ImageServing
control=$install_folder/bin/ImageServing.sh

# Installed, twice.
ends 'a service that is not there is not known' 4 s7 service status
check 'a dry run tells' s7 service install --dry-run
ends 'and changes nothing' 1 test -e /etc/systemd/system/ImageServing.service
check 'it is installed' s7 service install
check 'the unit is as systemd wants it' systemd-analyze verify --man=no --recursive-errors=one ImageServing.service
same 'it starts with the system' "$(systemctl is-enabled ImageServing)" enabled
check 'installed again' s7 service install
said 'nothing was changed'
ends 'it is stopped' 3 s7 service status

# Ready when its components are, and not before. With less patience than else.
mkdir -p /etc/systemd/system/ImageServing.service.d
printf '[Service]\nWatchdogSec=10\n' >/etc/systemd/system/ImageServing.service.d/watchdog.conf
systemctl daemon-reload
check 'it starts' systemctl start ImageServing
ends 'all are up as soon as systemd says that it has started' 0 "$control" status
same 'systemd is told how many' "$(property StatusText)" '3 up'
check 'and that it is active' s7 service status
for component in is svg ps; do check "$component answers" "$control" status "$component"; done
check 'its components run in control groups of their own' grep --quiet 's7-ps' "/proc/$(pids | cut -d ' ' -f 3)/cgroup"

# start and stop act through the service.
before=$(pids)
main=$(property MainPID)
check 'start finds it running' s7 start
same 'and touches nothing' "$(pids)" "$before"

# kill -9, a watchdog that gets no sign of life, a reload, an upgrade.
kill -9 "$main"
until_so 'it is begun anew' eval '[[ $(property MainPID) != "$main" && $(property ActiveState) == active ]]'
same 'a kill leaves every component alone' "$(pids)" "$before"
main=$(property MainPID)
kill -STOP "$main"
until_so 'the watchdog ends one that hangs' eval '[[ $(property MainPID) != "$main" && $(property ActiveState) == active ]]'
same 'the watchdog leaves every component alone' "$(pids)" "$before"
until_so 'the journal says that it was the watchdog' eval '[[ $(journalctl --no-pager --unit ImageServing) == *"Watchdog timeout"* ]]'
main=$(property MainPID)
check 'reload' systemctl reload ImageServing
same 'a reload leaves every component alone' "$(pids)" "$before"
registry=$install_folder/conf/SupervisorRegistry.xml
cp "$registry" /tmp/good.xml
echo '<supervisor>' >"$registry"
ends 'a reload of a broken registry fails' 1 systemctl reload ImageServing
same 'and leaves every component alone, too' "$(pids)/$(property ActiveState)" "$before/active"
cp /tmp/good.xml "$registry"
sed -i 's|</servers>|<server id="more"><executable>/bin/sleep</executable><arguments><argument>1000</argument></arguments></server></servers>|' "$registry"
check 'a reload of a changed one' systemctl reload ImageServing
check 'starts what is new' s7 status more
cp /tmp/good.xml "$registry"
check 'and back' systemctl reload ImageServing
same 'leaves all others alone' "$(pids)" "$before"

# systemd knows when a reload begins and when it is over, by whom it ever was asked for.
slow='<server id="slow"><executable>/bin/sh</executable><arguments><argument>-c</argument>
    <argument>until [ -e /tmp/go ]; do sleep 0.05; done; echo ready; exec sleep 1000</argument></arguments>
    <readiness timeout="5m"><log pattern="ready"/></readiness></server>'
sed -i "s|</servers>|$(tr -d '\n' <<<"$slow")</servers>|" "$registry"
check 'a changed registry, by SIGHUP' systemctl kill --kill-whom=main --signal=HUP ImageServing
until_so 'the service is reloading' eval '[[ $(property ActiveState) == reloading ]]'
touch /tmp/go
until_so 'until that is so' eval '[[ $(property ActiveState) == active ]]'
check 'what is new is up' s7 status slow
echo '<supervisor>' >"$registry"
ends 'a registry that is refused' 2 s7 --temp "$install_folder/temp" apply
until_so 'is a reload that is over' eval '[[ $(property ActiveState) == active ]]'
until_so 'and nothing has changed' eval '[[ $(property StatusText) == "4 up" ]]'
cp /tmp/good.xml "$registry"
check 'and back' systemctl reload ImageServing
same 'leaves all others alone again' "$(pids)" "$before"
check 'upgrade' s7 upgrade
same 'an upgrade leaves every component alone' "$(pids)" "$before"
same 'the process is the same after an upgrade' "$(property MainPID)" "$main"
same 'and systemd sees no restart in that' "$(property ActiveState)" active

# A component that dies is restarted, and the service stays.
kill -9 "$(pids | cut -d ' ' -f 1)"
until_so 'a component is restarted' s7 status
same 'and the service is as it was' "$(property MainPID)" "$main"

# Stopped: nothing is left.
before=$(pids)
check 'restart' systemctl restart ImageServing
for pid in $before; do ends "of the components before, $pid has ended" 1 test -e "/proc/$pid"; done
before=$(pids)
check 'stop through the service' s7 stop
same 'systemd knows that somebody wanted that' "$(property ActiveState)/$(property Result)" inactive/success
for pid in $before; do ends "$pid has ended" 1 test -e "/proc/$pid"; done
ends 'it is stopped' 3 s7 service status
ends 'and the documented script says so' 3 "$control" status
ends 'not with what its unit does not say' 2 s7 start --set tracelevel=3
ends 'nor for whom it does not say' 2 s7 start --group adm
said 'Environment=S7_GROUP=adm'
ends 'and where' 2 s7 start --bind 127.0.0.1
said 'Environment=S7_BIND=127.0.0.1'
same 'nothing was started' "$(property ActiveState)" inactive
printf '[Service]\nEnvironment=S7_GROUP=adm\n' >/etc/systemd/system/ImageServing.service.d/group.conf
systemctl daemon-reload
check 'what its unit says may be said again' s7 start --group adm
same 'and holds' "$(stat -c %G "$install_folder/temp")" adm
ends 'nor is it restarted for others' 2 s7 restart --group daemon
check 'stop' s7 stop
check 'start through the service' "$control" start
same 'systemd has started it' "$(property ActiveState)" active

# A registry that is wrong: the service fails at once, and says why.
check 'stop' "$control" stop
echo '<supervisor>' >"$install_folder/conf/SupervisorRegistry.xml"
ends 'a broken registry is no service' 1 systemctl start ImageServing
same 'and is not tried for ever' "$(property ActiveState)/$(property ExecMainStatus)" failed/2

# Removed.
check 'it is removed' s7 service uninstall
ends 'its unit is gone' 1 test -e /etc/systemd/system/ImageServing.service
check 'removed again' s7 service uninstall
echo '[Service]' >/etc/systemd/system/ImageServing.service
ends 'what somebody else has made is not touched' 1 s7 service uninstall
check 'it is there' test -e /etc/systemd/system/ImageServing.service
