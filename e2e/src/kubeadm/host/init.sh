#!/bin/bash
# The first process of a host: mounts what is its own, starts containerd, and the kubelet where kubeadm
# has set it up, and reaps. Runs in namespaces of its own (boot.sh).
set -euo pipefail
state=$1 hostname=$2
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

mount --make-rprivate /
echo "$hostname" >/proc/sys/kernel/hostname

root=$state/root
mkdir -p "$root" "$state"/disk/{upper,work} "$state"/var/{containerd,etcd,kubelet,log}
mount -t overlay -o "lowerdir=/,upperdir=$state/disk/upper,workdir=$state/disk/work" overlay "$root"
mount -t proc proc "$root/proc"
# The view of this network namespace, and of this cgroup namespace.
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
while read -r name; do
    option=$name
    [[ $name != systemd ]] || option=none,name=systemd
    mkdir "$root/sys/fs/cgroup/$name"
    mount -t cgroup -o "$option" cgroup "$root/sys/fs/cgroup/$name"
done < <(awk '$3 == "cgroup" { sub(".*/", "", $2); print $2 }' /proc/mounts | sort -u)
# Not on the overlay: containerd's own overlays must not lie on one, and etcd is the only one that syncs.
for directory in containerd etcd kubelet; do
    mkdir -p "$root/var/lib/$directory"
    mount --bind "$state/var/$directory" "$root/var/lib/$directory"
done
mount --bind "$state/var/log" "$root/var/log"
# What the host brings with it: programs, images, the manifests of a test.
mkdir -p "$root/mnt"
mount --rbind "$state/files" "$root/mnt"
# The large ones are where they are on this machine, which may be on a mount of its own.
while read -r link; do
    place=$root/mnt/${link#"$state"/links/}
    if [[ -d $link ]]; then mkdir -p "$place"; else mkdir -p "${place%/*}" && touch "$place"; fi
    mount --bind "$(readlink -f "$link")" "$place"
done < <(find "$state/links" -type l)
install -m 0755 "$scripts/systemctl.sh" "$root/usr/local/bin/systemctl"

cd "$root"
mkdir -p .old
pivot_root . .old
exec </dev/null
umount -l /.old
mount --make-rshared /
export PATH=/usr/local/bin:/mnt/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin

printf '127.0.0.1 localhost\n%s' "$(cat /mnt/hosts)" >/etc/hosts
[[ -s /etc/machine-id.own ]] || tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id.own
cat /etc/machine-id.own >/etc/machine-id
echo "$hostname" >/etc/hostname

systemctl start containerd
[[ ! -e /var/lib/kubelet/config.yaml ]] || systemctl start kubelet
: >/run/booted
# Reaps whatever ends, its own or not, and starts a service that ended by itself, as systemd does: a
# kubelet that finds containerd not ready yet gives up.
while :; do
    for wanted in /run/*.wanted; do
        [[ ! -e $wanted ]] || systemctl start "$(basename "$wanted" .wanted)"
    done
    sleep 1 &
    wait $! || true
done
