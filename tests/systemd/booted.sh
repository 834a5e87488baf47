#!/bin/bash
# booted.sh [-b DIR]... [-t SECONDS] COMMAND...: boots a real systemd (PID 1, journald, dbus) in its own namespaces and
# runs COMMAND in that system as root, with our environment, standard streams and exit status.
#
# Its files are the host's, below an overlay whose changes are thrown away; /tmp, /run and /dev are new; other mounts
# are visible only with -b. The network is the host's, so 127.0.0.1 is shared. When COMMAND ends, or we do, everything
# ends. Exit 77: not possible on this machine (prints the reason). 124: COMMAND took longer than -t (default 300).
set -uo pipefail
binds=() limit=300
while getopts b:t: option; do
    case $option in b) binds+=("$(realpath -m "$OPTARG")") ;; t) limit=$OPTARG ;; *) exit 64 ;; esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || { sed -n 2,8p "$0" >&2 && exit 64; }
for path in "${binds[@]}"; do
    # systemd-tmpfiles empties these at boot, and it would empty the host's.
    case $path in / | /tmp | /var/tmp | /run | /var | /dev | /dev/shm) echo "booted.sh: $path cannot be bound: systemd cleans it at boot" >&2 && exit 64 ;; esac
done
cannot() { echo "booted.sh: not possible here: $*" >&2 && exit 77; }
[ "$(id -u)" = 0 ] || cannot "needs root"
for needed in /lib/systemd/systemd /lib/systemd/system/dbus.service; do
    [ -e "$needed" ] || cannot "needs systemd and dbus: make deps-test"
done
unshare --mount --pid --fork true 2>/dev/null || cannot "no namespaces"

work=$(mktemp -d /tmp/booted.XXXXXX) outer='' init='' cgroup=''
# shellcheck disable=SC2317 # the traps call it
finish() {
    trap - EXIT INT TERM HUP
    if [ -n "$outer" ]; then
        # SIGRTMIN+3 asks systemd to halt; --kill-child ends the rest.
        [ -z "$init" ] || kill -s RTMIN+3 "$init" 2>/dev/null
        for _ in {1..100}; do kill -0 "$outer" 2>/dev/null || break; sleep 0.1; done
        kill -KILL "$outer" 2>/dev/null
        wait "$outer" 2>/dev/null
    fi
    [ -z "$cgroup" ] || for _ in {1..50}; do
        find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null
        [ -d "$cgroup" ] || break
        sleep 0.1
    done
    rm -f "$work/log"
    rmdir "$work" 2>/dev/null
}
trap finish EXIT
trap 'exit 143' INT TERM HUP

# A cgroup below ours, in the unified hierarchy, wherever that is mounted.
unified=/sys/fs/cgroup
[ "$(stat -fc %T $unified)" = cgroup2fs ] || unified=/sys/fs/cgroup/unified
[ "$(stat -fc %T $unified 2>/dev/null)" = cgroup2fs ] || cannot "no unified cgroup hierarchy"
ours=$unified$(sed -n 's/^0:://p' /proc/self/cgroup)
cgroup=${ours%/}/${work##*/}
mkdir "$cgroup" 2>/dev/null || { cgroup='' && cannot "cannot create a cgroup"; }

# shellcheck disable=SC2016 # expanded inside
(
    sh -c 'echo $PPID >"$1/cgroup.procs"' - "$cgroup"
    exec setpriv --pdeathsig KILL unshare --pid --fork --kill-child --mount --propagation private --uts --ipc --cgroup \
        bash -euc '
        work=$1 root=$1/root; shift
        mount -t tmpfs -o mode=755 tmpfs "$work"
        mkdir "$work"/{upper,work,root}
        mount -t overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" overlay "$root"
        mount -t proc proc "$root/proc"
        for path in sys sysrq-trigger; do [ -e "$root/proc/$path" ] || continue; mount --bind "$root/proc/$path" "$root/proc/$path"; mount -o remount,bind,ro "$root/proc/$path"; done
        mount -t sysfs -o ro sysfs "$root/sys"
        mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
        mount -t tmpfs -o mode=755 tmpfs "$root/dev"
        mkdir "$root"/dev/{pts,shm}
        mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
        mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
        ln -s pts/ptmx "$root/dev/ptmx"; ln -s /proc/self/fd "$root/dev/fd"
        for name in stdin:0 stdout:1 stderr:2; do ln -s "fd/${name#*:}" "$root/dev/${name%:*}"; done
        for name in null zero full random urandom tty; do touch "$root/dev/$name"; mount --bind "/dev/$name" "$root/dev/$name"; done
        # Open to everybody, as udev makes it.
        mkdir "$root/dev/net"; mknod -m 666 "$root/dev/net/tun" c 10 200 || rmdir "$root/dev/net"
        mount -t tmpfs -o mode=755 tmpfs "$root/run"
        mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
        for path; do mkdir -p "$root$path"; mount --rbind "$path" "$root$path"; done
        # Only what the units need: none of the host'"'"'s services, and no login prompts.
        printf "[Unit]\nRequires=sysinit.target dbus.socket\nAfter=sysinit.target dbus.socket\n" >"$root/etc/systemd/system/booted.target"
        cd "$root"; mkdir -p .host; pivot_root . .host; umount -l /.host; rmdir /.host
        mount --make-rshared /
        exec env -i container=booted PATH=/usr/sbin:/usr/bin:/sbin:/bin \
            setpriv --bounding-set -sys_module,-sys_rawio,-sys_time,-syslog,-mac_admin,-mac_override \
            /lib/systemd/systemd --system systemd.unit=booted.target systemd.show_status=0' - "$work" "${binds[@]}"
) </dev/null >"$work/log" 2>&1 &
outer=$!

is_up() {
    local child
    child=$(cat "/proc/$outer/task/$outer/children" 2>/dev/null) && child=${child// /}
    [ -n "$child" ] && [ "$(cat "/proc/$child/comm" 2>/dev/null)" = systemd ] && init=$child &&
        [ "$(nsenter -t "$init" -m -r -p systemctl is-active booted.target 2>/dev/null)" = active ]
}
for _ in {1..300}; do
    is_up && break
    kill -0 "$outer" 2>/dev/null || break
    sleep 0.1
done
is_up || { cat "$work/log" >&2 && cannot "systemd did not boot"; }

environment=()
while read -r name; do environment+=("--setenv=$name"); done < <(compgen -e)
# As a separate unit, so that it ends with the system.
nsenter -t "$init" -m -r -w -p -- timeout --foreground -k 5 "$limit" \
    systemd-run --quiet --wait --pipe --collect --working-directory=/ "${environment[@]}" -- "$@"
