#!/bin/bash
# Components that take longer to stop than systemd would wait are given their time; one that cannot start does not keep the service
# from being ready, and systemd is told.
. /machine/tests/service/lib.sh
install_folder=/srv/images
mkdir -p $install_folder/conf
export S7_REGISTRY=$install_folder/conf/SupervisorRegistry.xml
cat >"$S7_REGISTRY" <<'XML'
<supervisor><servers>
  <server id="slow"><executable>/bin/bash</executable>
    <arguments><argument>-c</argument><argument>trap 'sleep 8; exit 0' TERM; echo ready; while :; do sleep 3600 &amp; wait; done</argument></arguments>
    <readiness timeout="60s"><log pattern="ready"/></readiness>
    <stopTimeout>20</stopTimeout></server>
  <server id="bad"><executable>/bin/false</executable></server>
</servers></supervisor>
XML
check 'it is installed' s7 service install
mkdir -p /etc/systemd/system/ImageServing.service.d
printf '[Service]\nTimeoutStopSec=4\n' >/etc/systemd/system/ImageServing.service.d/stop.conf
systemctl daemon-reload
check 'it starts though a component does not' systemctl start ImageServing
until_so 'systemd is told which' eval '[[ $(property StatusText) == "1 up, bad: "* ]]'
pid=$(pids slow)
main=$(property MainPID)
began=$SECONDS
check 'it stops' systemctl stop ImageServing
((SECONDS - began >= 7)) || fail 'a component did not get its time to stop'
same 'as it should' "$(property ActiveState)/$(property Result)" inactive/success
ends 'the component has ended' 1 test -e "/proc/$pid"
ends 'and so has the supervisor' 1 test -e "/proc/$main"
