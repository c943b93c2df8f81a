#!/bin/sh
# Controls the Server Supervisor and its components, as documented:
#
#   ImageServing.sh start                      the Server Supervisor and all components
#   ImageServing.sh stop                       all components and the Server Supervisor
#   ImageServing.sh restart [{ps|is|svg}]      all of it, or one component
#   ImageServing.sh status [ps|is|svg]         state, uptime and memory of all components, or of one
#
# It belongs into install_folder/bin, beside conf, logs and temp, and calls s7supervisor: that of the same folder, else that of
# the PATH. The components are those of conf/SupervisorRegistry.xml, whatever they are called. It ends with the exit
# codes of s7supervisor: 0 done; 1 failed; 2 wrong arguments; 3 (of status) stopped or not running.

usage() {
    echo "usage: ImageServing.sh {start | stop | restart [ID] | status [ID]}" >&2
    exit 2
}

# Called by a link, it is still where it is.
here=$(dirname "$(readlink -f "$0")") || exit 1
install_folder=$(dirname "$here")
registry=$install_folder/conf/SupervisorRegistry.xml
PATH=$here:$PATH

# Where the Debian package has it.
if [ ! -e "$registry" ] && [ -e /etc/s7supervisor/SupervisorRegistry.xml ]; then
    registry=/etc/s7supervisor/SupervisorRegistry.xml
    install_folder=/var/lib/s7supervisor
fi

# The folder of this installation counts, not what the environment says of another.
supervisor() {
    env -u S7_REGISTRY -u S7_INSTALL_FOLDER -u S7_TEMP \
        s7supervisor --registry "$registry" --install-folder "$install_folder" "$@"
}

case "$1:$#" in
start:1 | stop:1 | restart:1 | status:1) supervisor "$1" ;;
restart:2 | status:2)
    # An ID is never an option.
    supervisor "$1" -- "$2"
    ;;
*) usage ;;
esac
