#!/bin/sh
# Makes the database cluster that the registry's postgres serves, unless it is there already.
#
#     make-cluster.sh PROGRAMS CLUSTER
#
# It runs as root, because the folder has to be given to the user postgres, who makes the rest.
set -eu
programs=$1 cluster=$2

[ ! -e "$cluster/PG_VERSION" ] || exit 0
# What an earlier try has left, if it was cut short.
rm -rf "$cluster.new"
mkdir -p "$(dirname "$cluster")"
install -d -o postgres -g postgres -m 0700 "$cluster.new"
# From this machine anybody may come in: an example has nothing to hide.
setpriv --reuid postgres --regid postgres --init-groups \
    "$programs/initdb" --auth trust --encoding UTF8 --locale C --pgdata "$cluster.new"
mv "$cluster.new" "$cluster"
