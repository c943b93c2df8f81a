#!/bin/bash
# build.sh [--static | --binary FILE] FOLDER: builds the Debian package of s7supervisor in FOLDER and prints its path.
#
# A release build is made, optimised as a whole; with --static one that needs no library of the system, whose version ends in
# `+static`. --binary takes what is there. PACKAGE_REVISION is the last part of the version, 1 without it; PACKAGE_COMPRESSION is
# that of dpkg-deb; DEBFULLNAME and DEBEMAIL are who makes it, SOURCE_DATE_EPOCH is when, else when the last change was committed.
# It takes a Rust toolchain, dpkg-dev and binutils. What is installed:
#
#   /usr/bin/s7supervisor, its manual pages and completions      /usr/sbin/ImageServing.sh, the documented script
#   /lib/systemd/system/ImageServing.service                     /etc/init.d/ImageServing, where there is no systemd
#   /etc/s7supervisor/SupervisorRegistry.xml                     /usr/share/doc/s7supervisor, with examples
#
# and at the installation: the account s7supervisor, /var/lib/s7supervisor and /var/log/s7supervisor.
set -euo pipefail
shopt -s inherit_errexit
umask 022
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
usage() {
    echo "usage: build.sh [--static | --binary FILE] FOLDER" >&2
    exit 2
}

binary='' variant=''
case "${1:-}" in
--static)
    variant=+static
    shift
    ;;
--binary)
    [[ $# == 3 ]] || usage
    binary=$2
    shift 2
    ;;
esac
[[ $# == 1 && $1 != -* ]] || usage
folder=$(cd "$1" && pwd)

# A release build. With a target named, what is linked into the program is told from what is run to build it.
build() {
    local target
    target=$(rustc -vV | sed -n 's/^host: //p')
    cd "$top"
    [[ -z $variant ]] || export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static"
    cargo build --locked --release --package s7supervisor --target "$target" --quiet
    realpath "${CARGO_TARGET_DIR:-target}/$target/release/s7supervisor"
}
[[ -n $binary ]] || binary=$(build)
version=$("$binary" --version | cut -d ' ' -f 2)$variant-${PACKAGE_REVISION:-1}
maintainer="${DEBFULLNAME:-The Server Supervisor authors} <${DEBEMAIL:-s7supervisor@localhost}>"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
architecture=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir "$root"

put() { install -D -m "$1" "$2" "$root$3"; }

put 0755 "$binary" /usr/bin/s7supervisor
[[ -n ${KEEP_SYMBOLS:-} ]] || strip --strip-unneeded "$root/usr/bin/s7supervisor"
put 0755 "$top/packaging/ImageServing.sh" /usr/sbin/ImageServing.sh
put 0644 "$here/SupervisorRegistry.xml" /etc/s7supervisor/SupervisorRegistry.xml
put 0644 "$top/LICENSE" /usr/share/doc/s7supervisor/copyright
for page in "$top"/README.md "$top"/docs/*; do [[ -d $page ]] || put 0644 "$page" "/usr/share/doc/s7supervisor/${page##*/}"; done
mkdir -p "$root/usr/share/doc/s7supervisor/examples"
cp -r "$top/examples/image-serving" "$top/examples/services" "$root/usr/share/doc/s7supervisor/examples/"
# What is there where somebody has tried them.
rm -rf "$root"/usr/share/doc/s7supervisor/examples/*/{logs,temp}
gzip -9n <"$top/CHANGELOG.md" >"$root/usr/share/doc/s7supervisor/changelog.gz"
gzip -9n >"$root/usr/share/doc/s7supervisor/changelog.Debian.gz" <<CHANGELOG
s7supervisor ($version) stable; urgency=medium

  * Built from the sources; what is new is in changelog.gz.

 -- $maintainer  $(date --utc --rfc-email --date "@$SOURCE_DATE_EPOCH")
CHANGELOG
put 0644 "$here/lintian-overrides" /usr/share/lintian/overrides/s7supervisor
[[ -z $variant ]] || cat "$here/lintian-overrides.static" >>"$root/usr/share/lintian/overrides/s7supervisor"

# The service, as `s7supervisor service install` would write it.
service=$top/crates/s7supervisor/src/commands/service/unix
fill() {
    sed -e 's#@MARK@#\# Installed by the package s7supervisor.#' -e 's#@PROGRAM@#/usr/bin/s7supervisor#' \
        -e 's#@REGISTRY@#/etc/s7supervisor/SupervisorRegistry.xml#' -e 's#@FOLDER@#/var/lib/s7supervisor#' \
        -e 's#@TEMP@#/var/lib/s7supervisor/temp#' -e 's#@USER@#User=s7supervisor#' -e '/^@WRITABLE@$/d' \
        -e 's#@PIDFILE@#/var/lib/s7supervisor/temp/s7supervisor.pid#' -e 's#@NAME@#ImageServing#' -e 's#@AS_USER@#runuser -u s7supervisor -- #' "$1"
}
mkdir -p "$root/lib/systemd/system" "$root/etc/init.d"
fill "$service/unit.in" >"$root/lib/systemd/system/ImageServing.service"
fill "$service/script.in" >"$root/etc/init.d/ImageServing"
chmod 0755 "$root/etc/init.d/ImageServing"

# Made by the program itself, but for the page of the script.
mkdir -p "$root/usr/share/man/man1"
"$binary" man "$root/usr/share/man/man1" >/dev/null
put 0644 "$top/packaging/ImageServing.sh.8" /usr/share/man/man8/ImageServing.sh.8
gzip -9n "$root"/usr/share/man/man*/*
completions() {
    mkdir -p "$(dirname "$root$2")"
    "$binary" completions "$1" >"$root$2"
}
completions bash /usr/share/bash-completion/completions/s7supervisor
completions zsh /usr/share/zsh/vendor-completions/_s7supervisor
completions fish /usr/share/fish/vendor_completions.d/s7supervisor.fish

mkdir "$root/DEBIAN"
# What the program needs of the system's libraries; nothing where it is static.
needs() {
    mkdir -p "$work/debian"
    printf 'Source: s7supervisor\n\nPackage: s7supervisor\nArchitecture: any\n' >"$work/debian/control"
    cd "$work"
    dpkg-shlibdeps --warnings=0 -O -e"$root/usr/bin/s7supervisor" | sed -n 's/^shlibs:Depends=/, /p'
}
if readelf --program-headers "$binary" | grep INTERP >/dev/null; then libraries=$(needs); else libraries=; fi
cat >"$root/DEBIAN/control" <<CONTROL
Package: s7supervisor
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Section: admin
Priority: optional
Depends: passwd$libraries
Installed-Size: $(du -sk "$root" | cut -f 1)
Description: process supervisor for server components
 Starts, stops and keeps healthy the components named in a
 SupervisorRegistry.xml, as the Server Supervisor of Image Serving does.
CONTROL
printf '/etc/s7supervisor/SupervisorRegistry.xml\n/etc/init.d/ImageServing\n' >"$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 0755 "$here/$script" "$root/DEBIAN/$script"; done

package=$folder/s7supervisor_${version}_$architecture.deb
dpkg-deb --build --root-owner-group "-Z${PACKAGE_COMPRESSION:-xz}" "$root" "$package" >/dev/null
echo "$package"
