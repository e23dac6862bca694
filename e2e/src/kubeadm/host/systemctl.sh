#!/bin/bash
# What kubeadm and the tests ask of an init system, for two services.
set -euo pipefail

start() { # SERVICE
    ! is_active "$1" || return 0
    local command
    case $1 in
    containerd) command=(containerd --config /mnt/containerd.toml) ;;
    kubelet)
        # As kubeadm's drop-in for systemd does it.
        [[ ! -e /var/lib/kubelet/kubeadm-flags.env ]] || . /var/lib/kubelet/kubeadm-flags.env
        # shellcheck disable=SC2206
        command=(kubelet --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf
            --kubeconfig=/etc/kubernetes/kubelet.conf --config=/var/lib/kubelet/config.yaml ${KUBELET_KUBEADM_ARGS:-}) ;;
    *) printf 'systemctl: no unit %s\n' "$1" >&2; exit 5 ;;
    esac
    setsid "${command[@]}" </dev/null >>"/var/log/$1.log" 2>&1 &
    echo $! >"/run/$1.pid"
    : >"/run/$1.wanted"
}

stop() { # SERVICE
    rm -f "/run/$1.wanted"
    is_active "$1" || return 0
    local pid
    pid=$(<"/run/$1.pid")
    kill "$pid"
    for ((i = 0; i < 100; i++)); do
        is_active "$1" || return 0
        sleep 0.1
    done
    kill -KILL "$pid"
}

is_active() { # SERVICE
    local pid
    [[ -s /run/$1.pid ]] && pid=$(<"/run/$1.pid") && [[ -d /proc/$pid ]] &&
        ! grep -q '^State:.Z' "/proc/$pid/status"
}

verb= service=
for word in "$@"; do
    case $word in
    -*) ;;
    *) if [[ -z $verb ]]; then verb=$word; else service=${word%.service}; fi ;;
    esac
done
case $verb in
start) start "$service" ;;
stop) stop "$service" ;;
restart) stop "$service"; start "$service" ;;
is-active) is_active "$service" ;;
is-enabled | enable | daemon-reload) ;;
*) printf 'systemctl: %s is not for this stand-in\n' "$verb" >&2; exit 1 ;;
esac
