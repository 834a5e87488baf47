#!/usr/bin/env bash
# build.sh ROOT UV PACKAGE: packs the directory ROOT as the Debian package PACKAGE (.../NAME_VERSION_ARCH.deb).
# `make install PREFIX=/usr DESTDIR=ROOT` fills ROOT. uv and uvx, which Debian 12 does not have, are copied from the
# folder UV. The same input gives the same file: all times are SOURCE_DATE_EPOCH.
set -euo pipefail
[ $# -eq 3 ] || {
    sed -n 2,4p "$0" >&2
    exit 64
}
here=$(cd "$(dirname "$0")" && pwd)
root=$(realpath "$1") uv=$(realpath "$2") package=$(realpath -m "$3")
IFS=_ read -r name version architecture <<<"$(basename "$package" .deb)"
: "${SOURCE_DATE_EPOCH:?}"
maintainer="${DEBFULLNAME:-$name} <${DEBEMAIL:-root@localhost}>"
doc=$root/usr/share/doc/$name
helpers=$root/usr/libexec/$name

for program in uv uvx; do
    [ -x "$uv/$program" ] || {
        echo "build.sh: $uv/$program does not exist: run make deps" >&2
        exit 1
    }
    install -m 755 "$uv/$program" "$helpers"
done
chmod 644 "$helpers/forkserver.py" # an argument of Python's
find "$root/usr/bin" "$helpers" -type f -exec sh -c 'head -c 4 "$1" | grep -q ELF && strip --remove-section=.comment "$1"' - {} \;

# ------------------------------------------------------------ documents that Debian's policy requires
install -m 644 "$here/copyright" "$doc/copyright"
date=$(date --utc --date="@$SOURCE_DATE_EPOCH" '+%a, %d %b %Y %H:%M:%S +0000')
printf '%s (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- %s  %s\n' "$name" "$version" "$maintainer" "$date" |
    gzip -9n >"$doc/changelog.gz"
find "$root/usr/share/man" -name '*.[1-9]' -exec gzip -9nf {} +
install -D -m 644 "$here/lintian-overrides" "$root/usr/share/lintian/overrides/$name"

# ------------------------------------------------------------ dpkg's control files
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/debian" "$root/DEBIAN"
printf 'Source: %s\n\nPackage: %s\nArchitecture: any\n' "$name" "$name" >"$work/debian/control"
mapfile -t programs < <(find "$root/usr/bin" "$helpers" -type f -exec sh -c 'head -c 4 "$1" | grep -q ELF' - {} \; -print | sort)
libraries=$(cd "$work" && dpkg-shlibdeps --warnings=0 -O "${programs[@]/#/-e}" | sed -n 's/^shlibs:Depends=//p')
[ -n "$libraries" ]
size=$(du --apparent-size -k -s --exclude=DEBIAN "$root" | cut -f 1)
sed -e "s|@name@|$name|" -e "s|@version@|$version|" -e "s|@architecture@|$architecture|" -e "s|@maintainer@|$maintainer|" \
    -e "s|@libraries@|$libraries|" -e "s|@size@|$size|" "$here/control.in" >"$root/DEBIAN/control"
(cd "$root" && find etc -type f | sort | sed 's|^|/|') >"$root/DEBIAN/conffiles"
(cd "$root" && find usr lib -type f | sort | xargs md5sum) >"$root/DEBIAN/md5sums"
for script in postinst prerm postrm; do install -m 755 "$here/$script" "$root/DEBIAN"; done

find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
dpkg-deb -Zxz -z1 --root-owner-group --build "$root" "$package"
