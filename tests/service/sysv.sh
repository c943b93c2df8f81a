#!/bin/bash
# The service where systemd is not process 1: a script in /etc/init.d, called by `service` and by hand.
. /machine/tests/service/lib.sh
lay_out /usr/local/scene7/ImageServing
check 'it is installed' s7 service install
check 'the script is there' test -x /etc/init.d/ImageServing
check 'and is called when the system starts' ls /etc/rc2.d/S*ImageServing
ends 'it is stopped' 3 service ImageServing status
ends 'also for s7supervisor' 3 s7 service status
check 'start' service ImageServing start
check 'start again' service ImageServing start
check 'status' service ImageServing status
before=$(pids)
check 'reload' service ImageServing reload
same 'touches nothing' "$(pids)" "$before"
check 'the documented script restarts one' "$install_folder/bin/ImageServing.sh" restart ps
same 'only that one' "$(pids | cut -d ' ' -f 1,2)" "$(cut -d ' ' -f 1,2 <<<"$before")"
[[ $(pids | cut -d ' ' -f 3) != $(cut -d ' ' -f 3 <<<"$before") ]] || fail 'it was not restarted'
ends 'what is no verb is refused' 2 "$install_folder/bin/ImageServing.sh" open
ends 'nor has start an ID' 2 "$install_folder/bin/ImageServing.sh" start ps
kill -9 "$(cat "$install_folder/temp/s7supervisor.pid")"
# While it is dying it does not answer, which has a code of its own.
until_so 'a supervisor that has died is told from one that was stopped' bash -c 'service ImageServing status; [[ $? == 1 ]]'
check 'start after that' service ImageServing start
check 'restart' service ImageServing restart
before=$(pids)
check 'stop' service ImageServing stop
for pid in $before; do ends "$pid has ended" 1 test -e "/proc/$pid"; done
check 'stop again' service ImageServing stop
ends 'it is stopped' 3 service ImageServing status
ends 'what is no verb is refused' 2 service ImageServing open
check 'it is removed' s7 service uninstall
ends 'the script is gone' 1 test -e /etc/init.d/ImageServing
