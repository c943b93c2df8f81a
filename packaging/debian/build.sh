#!/bin/bash
# build.sh [--binary FILE] FOLDER: builds the Debian package of s7supervisor in FOLDER and prints its path.
#
# Without --binary, a release build is made. What is installed:
#
#   /usr/bin/s7supervisor, its manual pages and completions      /usr/sbin/ImageServing.sh, the documented script
#   /lib/systemd/system/ImageServing.service                     /etc/init.d/ImageServing, where there is no systemd
#   /etc/s7supervisor/SupervisorRegistry.xml                     /usr/share/doc/s7supervisor, with examples
#
# and at the installation: the account s7supervisor, /var/lib/s7supervisor and /var/log/s7supervisor.
set -euo pipefail
umask 022
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
binary=
if [[ ${1:-} == --binary ]]; then
    binary=$2
    shift 2
fi
folder=$(cd "${1:?usage: build.sh [--binary FILE] FOLDER}" && pwd)
if [[ -z $binary ]]; then
    (cd "$top" && cargo build --release --package s7supervisor --quiet)
    binary=${CARGO_TARGET_DIR:-$top/target}/release/s7supervisor
fi
version=$("$binary" --version | cut -d ' ' -f 2)${PACKAGE_REVISION:-}
architecture=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 0755 "$root"

put() { install -D -m "$1" "$2" "$root$3"; }

put 0755 "$binary" /usr/bin/s7supervisor
[[ -n ${KEEP_SYMBOLS:-} ]] || strip --strip-unneeded "$root/usr/bin/s7supervisor"
put 0755 "$top/packaging/ImageServing.sh" /usr/sbin/ImageServing.sh
put 0644 "$here/SupervisorRegistry.xml" /etc/s7supervisor/SupervisorRegistry.xml
put 0644 "$top/LICENSE" /usr/share/doc/s7supervisor/copyright
for page in "$top"/README.md "$top"/docs/*; do [[ -d $page ]] || put 0644 "$page" "/usr/share/doc/s7supervisor/${page##*/}"; done
mkdir -p "$root/usr/share/doc/s7supervisor/examples"
cp -r "$top/examples/image-serving" "$top/examples/services" "$root/usr/share/doc/s7supervisor/examples/"
gzip -9n <"$top/CHANGELOG.md" >"$root/usr/share/doc/s7supervisor/changelog.gz"
chmod 0644 "$root/usr/share/doc/s7supervisor/changelog.gz"

# The service, as `s7supervisor service install` would write it.
service=$top/crates/s7supervisor/src/commands/service
fill() {
    sed -e 's#@MARK@#\# Installed by the package s7supervisor.#' -e 's#@PROGRAM@#/usr/bin/s7supervisor#' \
        -e 's#@REGISTRY@#/etc/s7supervisor/SupervisorRegistry.xml#' -e 's#@FOLDER@#/var/lib/s7supervisor#' \
        -e 's#@TEMP@#/var/lib/s7supervisor/temp#' -e 's#@USER@#User=s7supervisor#' -e '/^@WRITABLE@$/d' \
        -e 's#@NAME@#ImageServing#' -e 's#@AS_USER@#runuser -u s7supervisor -- #' "$1"
}
mkdir -p "$root/lib/systemd/system" "$root/etc/init.d"
fill "$service/unit.in" >"$root/lib/systemd/system/ImageServing.service"
fill "$service/script.in" >"$root/etc/init.d/ImageServing"
chmod 0755 "$root/etc/init.d/ImageServing"

# Made by the program itself.
if "$binary" man --help >/dev/null 2>&1; then
    mkdir -p "$root/usr/share/man/man1"
    "$binary" man "$root/usr/share/man/man1" >/dev/null
    gzip -9n "$root"/usr/share/man/man1/*.1
fi
if "$binary" completions --help >/dev/null 2>&1; then
    completions() {
        mkdir -p "$(dirname "$root$2")"
        "$binary" completions "$1" >"$root$2"
    }
    completions bash /usr/share/bash-completion/completions/s7supervisor
    completions zsh /usr/share/zsh/vendor-completions/_s7supervisor
    completions fish /usr/share/fish/vendor_completions.d/s7supervisor.fish
fi

mkdir "$root/DEBIAN"
# What the program needs of the system is found by its libraries; a static one needs nothing.
libraries=$(ldd "$binary" 2>/dev/null | grep --only-matching 'libc\.so\.6' || true)
cat >"$root/DEBIAN/control" <<CONTROL
Package: s7supervisor
Version: $version
Architecture: $architecture
Maintainer: The Server Supervisor authors <s7supervisor@localhost>
Section: admin
Priority: optional
Depends: passwd, init-system-helpers${libraries:+, libc6 (>= $(ldd --version | sed -n '1s/.* //p'))}
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
