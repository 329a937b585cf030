#!/usr/bin/env bash
# Process 1 of one machine of the data centre, in namespaces of its own; data_center.py starts it.
#   boot.sh client|node NAME SETUP STORAGE KEPT...
# SETUP holds keys and configuration, STORAGE becomes /mnt/shared, KEPT paths stay visible.
set -euo pipefail
role=$1 name=$2 setup=$3 storage=$4
shift 4
hostname "$name"

# What lies under the folders that are about to be covered is held here meanwhile.
mount -t tmpfs tmpfs /mnt
mkdir /mnt/shared /mnt/kept
mount --bind "$storage" /mnt/shared
cp -r "$setup" /mnt/setup
mount --bind /mnt/setup/hosts /etc/hosts
held=0
for path in "$@"; do
    held=$((held + 1))
    mkdir "/mnt/kept/$held"
    mount --bind "$path" "/mnt/kept/$held"
done

mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=700 tmpfs /root
# A node has of the project what is brought to it, and not the checkout beside it.
if [ "$role" = node ] && [ -d "$CHECKOUT" ]; then
    mount -t tmpfs tmpfs "$CHECKOUT"
fi
held=0
for path in "$@"; do
    held=$((held + 1))
    mkdir -p "$path"
    mount --bind "/mnt/kept/$held" "$path"
    mount -o remount,bind,ro "$path"
    umount "/mnt/kept/$held"
done

cp -r "/mnt/setup/$role-home/." /root
mkdir -p /run/sshd
ip link set lo up
echo ready
if [ "$role" = client ]; then
    exec sleep infinity
fi
# As process 1 it also takes in the processes that Ray leaves without a parent.
exec /usr/sbin/sshd -D -e -f /mnt/setup/sshd_config >/tmp/sshd.log 2>&1 </dev/null
