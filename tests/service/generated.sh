#!/bin/bash
# A script in /etc/init.d where systemd is process 1, which makes a unit of it (systemd-sysv-generator): as on a machine that was set
# up without systemd.
. /machine/tests/service/lib.sh
lay_out /usr/local/scene7/ImageServing
script=/etc/init.d/ImageServing

check 'installed where nobody sees systemd' unshare --mount bash -c 'mount -t tmpfs none /run/systemd && s7supervisor service install'
check 'as a script' test -x $script
systemctl daemon-reload
same 'systemd has made a unit of it' "$(property SourcePath)" $script
same 'which starts with the system' "$(systemctl is-enabled ImageServing 2>/dev/null)" enabled
ends 'it is stopped' 3 systemctl status ImageServing
ends 'and the script says so' 3 $script status
ends 'as does s7supervisor' 3 s7 service status

check 'start' systemctl start ImageServing
before=$(pids)
main=$(<"$install_folder/temp/s7supervisor.pid")
same 'three components' "$(wc -w <<<"$before")" 3
same 'systemd knows the supervisor' "$(property ActiveState) $(property MainPID)" "active $main"
check 'systemd says that it runs' systemctl status ImageServing
check 'so does the script' $script status
check 'and s7supervisor' s7 service status
check 'reload' $script reload
check 'start again' $script start
same 'touch nothing' "$(pids) $(property MainPID)" "$before $main"

kill -9 "$main"
until_so 'systemd sees that the supervisor has died' eval '[[ $(property ActiveState) != active ]]'
for pid in $before; do check "$pid lives" test -e "/proc/$pid"; done
check 'start after that' systemctl start ImageServing
same 'takes them over' "$(pids)" "$before"
same 'for systemd too' "$(property ActiveState) $(property MainPID)" "active $(<"$install_folder/temp/s7supervisor.pid")"

check 'stop, without systemd' s7 stop
until_so 'systemd sees that' eval '[[ $(property ActiveState) == inactive ]]'
check 'start by the script' $script start
same 'is done by systemd' "$(property ActiveState)" active
before=$(pids) main=$(property MainPID)
check 'stop' systemctl stop ImageServing
for pid in $before "$main"; do ends "$pid has ended" 1 test -e "/proc/$pid"; done
same 'as it should' "$(property ActiveState) $(property Result)" 'inactive success'
check 'it is removed' s7 service uninstall
ends 'the script is gone' 1 test -e $script
