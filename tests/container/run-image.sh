#!/bin/bash
# run-image.sh -r ROOT -u UID:GID [-v DIR:PATH]... [-m FILE:PATH]... -- COMMAND...: runs COMMAND as a container engine
# would: as the first process of a PID namespace, in ROOT, which is read-only, as that user, without capabilities or a
# way to get any, with our environment. -v: DIR is a volume, mounted at PATH. -m: FILE is visible at PATH, read-only.
# The network is ours. Standard streams and exit status are COMMAND's; send a signal for COMMAND to our child.
set -euo pipefail
root='' user='' mounts=()
while getopts r:u:v:m: option; do
    case $option in r) root=$OPTARG ;; u) user=$OPTARG ;; v | m) mounts+=("$option:$OPTARG") ;; *) exit 64 ;; esac
done
shift $((OPTIND - 1))
if [ -z "$root" ] || [ -z "$user" ] || [ $# -eq 0 ]; then sed -n 2,5p "$0" >&2; exit 64; fi
# shellcheck disable=SC2016 # expanded inside
exec unshare --mount --propagation private --pid --fork --kill-child --uts --ipc --cgroup /bin/bash -euc '
    root=$1 user=$2 n=$3; shift 3
    mount --bind "$root" "$root"
    mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t tmpfs -o nosuid,mode=755,size=64k tmpfs "$root/dev"
    mkdir -m 1777 "$root/dev/shm"
    mount -t tmpfs -o nosuid,nodev,noexec,mode=1777,size=64m tmpfs "$root/dev/shm"
    ln -s /proc/self/fd "$root/dev/fd"
    for name in stdin:0 stdout:1 stderr:2; do ln -s "/proc/self/fd/${name#*:}" "$root/dev/${name%:*}"; done
    for name in null zero full random urandom tty; do touch "$root/dev/$name"; mount --bind "/dev/$name" "$root/dev/$name"; done
    for ((; n > 0; n--)); do
        IFS=: read -r kind source target <<<"$1"; shift
        mount --bind "$source" "$root$target"
        [ "$kind" = v ] || mount -o remount,bind,ro "$root$target"
    done
    mount -o remount,bind,ro "$root"
    hostname container
    exec chroot "$root" /usr/bin/setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups --bounding-set=-all --no-new-privs \
        "$@"' - "$root" "$user" "${#mounts[@]}" "${mounts[@]}" "$@"
