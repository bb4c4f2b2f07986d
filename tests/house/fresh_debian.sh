#!/bin/sh
# `make fresh`: does what the README says work on a machine that has only Debian's base, python3, gcc and make?
# Builds such a machine in a folder (debootstrap + chroot), clones the last commit into it, runs `make build` twice and a
# server that answers an echo; with the argument `test` also `make test`. Needs root. Not part of `make test`: takes minutes.
#
#   make fresh [ARGS=test]     SUITE=bookworm  FRESH=/var/tmp/dicom-server-fresh  MIRROR=…
set -eu
suite=${SUITE:-bookworm}
fresh=${FRESH:-/var/tmp/dicom-server-fresh}
port=${PORT:-11199}
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "make fresh needs root" >&2; exit 1; }
requirements/debian.sh fresh
# The mirror that this machine uses itself.
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/*$' | head -n 1)}

clean_up() {
    umount "$fresh/proc" 2>/dev/null || true
}
trap clean_up EXIT
clean_up
rm -rf --one-file-system "$fresh"
mkdir -p "$fresh"
echo "Making a bare Debian $suite in $fresh"
debootstrap --include=python3,gcc,make "$suite" "$fresh" "$mirror" >"$fresh.log" 2>&1 || { tail "$fresh.log" >&2; exit 1; }
mount -t proc proc "$fresh/proc"

# The way to the network is this machine's: names, proxies, certificates, pip's index. Nothing else.
for path in /etc/resolv.conf /etc/hosts /etc/pip.conf; do
    [ ! -e "$path" ] || cp -L "$path" "$fresh$path"
done
apt-config dump Acquire | grep -E '::(https?|Check-)' >"$fresh/etc/apt/apt.conf.d/99network" || true
cp -L /etc/ssl/certs/ca-certificates.crt "$fresh/etc/network.crt"
network="$(env | grep -iE '^(PIP_[A-Z_]*URL=|PIP_DEFAULT_TIMEOUT=|[a-z]+_proxy=)' | tr '\n' ' ')
    PIP_CERT=/etc/network.crt NODE_EXTRA_CA_CERTS=/etc/network.crt"
inside() {
    # shellcheck disable=SC2086  # a list of NAME=value
    chroot "$fresh" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 $network \
        sh -euc "cd /root/dicom-server; $1" </dev/null
}

git clone -q . "$fresh/root/dicom-server"
inside 'make build'
inside 'make build'     # nothing to do
inside "make start ARGS='--port $port --data-dir /var/tmp/dicom-data' &
    trap 'kill \$! 2>/dev/null || true' EXIT
    for second in 1 2 3 4 5 6 7 8 9 10; do
        sleep 1
        ! .venv/bin/dicom-server status --port $port || break
    done
    .venv/bin/dicom-server stop --port $port
    wait"
[ "${1:-}" != test ] || inside 'make test'
echo "Works on a bare Debian $suite; to be looked at, or removed, in $fresh"
