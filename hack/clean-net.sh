#!/usr/bin/env bash
# Removes what an interrupted test or demo left: network namespaces named pt<pid>-<n>-<role> whose
# maker is gone, the processes in them, unlocked run directories in /dev/shm, and the cgroups of hosts of
# the kubeadm bed (NAME.pintle-test) in which nothing runs. What a living run
# owns stays. The tests do the same at their start (testkit: netns::cleanup_stale, RunDir).
#
#   hack/clean-net.sh [--quiet]     --quiet: says nothing when nothing was left
set -euo pipefail

quiet=${1:-}
removed=0

say() { printf 'clean-net: %s\n' "$*" >&2; }

# A maker that is a zombie runs no clean-up any more.
is_gone() { # PID
    local state
    state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || true
    [[ -z $state || $state == [ZX] ]]
}

remove_namespace() { # NAME
    local pid
    for pid in $(ip netns pids "$1" 2>/dev/null); do
        kill -KILL "$pid" 2>/dev/null || true
    done
    if ip netns del "$1" 2>/dev/null; then
        say "removed namespace $1"
        removed=$((removed + 1))
    fi
}

# Nobody but root can have made any.
if [[ $(id -u) == 0 ]] && command -v ip >/dev/null; then
    while read -r name _; do
        [[ $name =~ ^pt([0-9]+)-[0-9]+-(sw|c|[hs][0-9]{1,3})$ ]] || continue
        is_gone "${BASH_REMATCH[1]}" && remove_namespace "$name"
    done < <(ip netns list 2>/dev/null)
fi

# A group with processes cannot be removed, nor can what is above it.
for group in /sys/fs/cgroup/*/*.pintle-test; do
    [[ -d $group ]] || continue
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || continue
    say "removed $group"
    removed=$((removed + 1))
done

# The lock on /dev/shm itself is the gate that makers hold between creating and locking one.
if [[ -d /dev/shm ]]; then
    exec {gate}</dev/shm
    if flock -w 5 "$gate"; then
        for directory in /dev/shm/pintle-test-*; do
            [[ -d $directory && ! -L $directory && -O $directory ]] || continue
            exec {lock}<"$directory"
            if flock -n "$lock"; then
                rm -rf -- "$directory"
                say "removed $directory"
                removed=$((removed + 1))
            fi
            exec {lock}<&-
        done
    fi
    exec {gate}<&-
fi

[[ $quiet == --quiet ]] || ((removed)) || say "nothing was left"
