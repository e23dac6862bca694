#!/bin/bash
# The power button of a host: makes its cgroups and its namespaces, and becomes its first process.
#
#   boot.sh NETNS STATE HOSTNAME
#
# NETNS is the file of its network namespace, STATE its directory: what a disk would hold survives in
# STATE/disk (an overlay over this machine's root) and in STATE/var, what a reboot loses is mounted anew.
set -euo pipefail
netns=$1 state=$2 hostname=$3
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# A cgroup of its own per controller; what a power loss left in it is gone by then.
while read -r controller; do
    group=$controller/$hostname.pintle-test
    mkdir -p "$group"
    if [[ -e $group/cpuset.cpus ]]; then
        cat "$controller/cpuset.cpus" >"$group/cpuset.cpus"
        cat "$controller/cpuset.mems" >"$group/cpuset.mems"
    fi
    echo $$ >"$group/cgroup.procs"
done < <(awk '$3 == "cgroup" { print $2 }' /proc/mounts)

exec nsenter --net="$netns" -- \
    unshare --mount --uts --ipc --pid --cgroup --fork --kill-child=KILL --mount-proc \
    bash "$scripts/init.sh" "$state" "$hostname"
