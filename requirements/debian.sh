#!/bin/sh
# Debian's packages for `build`, `test` or `fresh`: installs what is missing if it may, else says in one line what to install.
# Looks at what is needed, not at dpkg, so that a Python of one's own or another distribution works too.
#
#   PYTHON=python3 requirements/debian.sh build|test|fresh
set -eu
PYTHON=${PYTHON:-python3}
missing=""

need() {    # need PACKAGE COMMAND...: the package is missing if the command fails
    package=$1; shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
header() {
    echo "#include <$1>" | "${CC:-cc}" -E -
}
postgres_server() {
    command -v postgres || ls /usr/lib/postgresql/*/bin/postgres
}
python_headers() {
    "$PYTHON" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
}

need python3 command -v "$PYTHON"
need gcc command -v "${CC:-cc}"
need libc6-dev header stdlib.h
need libxxhash-dev header xxhash.h
need python3-dev python_headers
need python3-venv "$PYTHON" -c 'import ensurepip, venv'
case ${1:-build} in
test)
    need dcmtk command -v storescu
    need strace command -v strace
    need npm command -v npm
    need openssl command -v openssl
    need postgresql postgres_server ;;
fresh)
    need debootstrap command -v debootstrap
    need git command -v git ;;
esac
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    root=""
elif sudo -n true 2>/dev/null; then
    root="sudo -n"
else
    root=none
fi
if [ "$root" = none ] || ! command -v apt-get >/dev/null; then
    echo "Please install these packages first: apt install$missing" >&2
    exit 1
fi
echo "Installing Debian packages:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
case $missing in
*postgresql*)       # the programs are what is needed: no database of Debian's own, nor one that starts with the machine
    cluster=/etc/postgresql-common/createcluster.d/none.conf
    trap '$root rm -f "$cluster"; rm -f "$log"' EXIT
    $root mkdir -p "${cluster%/*}"
    echo 'create_main_cluster = false' | $root tee "$cluster" >/dev/null ;;
esac
# shellcheck disable=SC2086  # lists of words
if ! { $root apt-get -qy update && $root apt-get -qy install --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
    tail -n 5 "$log" >&2
    echo "Please install these packages first: apt install$missing" >&2
    exit 1
fi
