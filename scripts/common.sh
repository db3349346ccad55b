# What quickstart, test and bench share: installing Debian's packages and becoming an unprivileged user.
# Sourced, never run; the caller has set `me` (its name for messages) and `root` (the project's directory).

PACKAGES_BUILD='gcc meson ninja-build pkg-config python3 libuv1-dev libpq-dev libcurl4-openssl-dev libmsgpack-dev
libssl-dev zlib1g-dev libzip-dev libdeflate-dev libjansson-dev libexpat1-dev libyajl-dev libinih-dev libelf-dev
libseccomp-dev libsqlite3-dev libcmocka-dev libncurses-dev'
PACKAGES_RUN='postgresql postgresql-client nginx-light python3-pip python3-venv python3-dev python3-setuptools-whl
bubblewrap python3-wheel-whl libffi-dev g++ make curl ca-certificates procps util-linux'
PACKAGES_TEST='clang libclang-rt-14-dev python3-pytest python3-pytest-xdist python3-msgpack python3-psycopg2 python3-packaging mandoc
openssl sqlite3 git tmux python3-jsonschema chromium iproute2
fonts-dejavu-core'

say() { printf '%s: %s\n' "$me" "$*"; }
die() { printf '%s: %s\n' "$me" "$*" >&2; exit 1; }

# Runs a command as root: directly, or through sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Installs those of the given packages that are missing.
install_packages() {
    local missing='' package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || die "these packages are missing, and there is no apt-get to install them:$missing"
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
        die "these packages are missing; install them as root, or install sudo:$missing"
    say "installs:$missing"
    local log
    log=$(mktemp)
    as_root apt-get update -q -o Dpkg::Use-Pty=0 >"$log" 2>&1 || { tail -n 20 "$log" >&2; die "apt-get update failed"; }
    # what we start is private: no package shall start a server of its own (Debian policy 9.3.3.2)
    local policy=/usr/sbin/policy-rc.d status=0 ours=
    if [ ! -e $policy ]; then
        ours=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod 755 $policy
    fi
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q -o Dpkg::Use-Pty=0 --no-install-recommends \
        $missing >"$log" 2>&1 || status=$?
    [ -z "$ours" ] || as_root rm -f $policy
    [ $status = 0 ] || { tail -n 20 "$log" >&2; die "apt-get install failed for:$missing"; }
    rm -f "$log"
}

# The directory of PostgreSQL's server programs: Debian keeps them out of PATH.
postgres_bin() {
    ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1
}

# copy_tree DEST: the project's files, without what git ignores.
copy_tree() {
    mkdir -p "$1"
    if git -C "$root" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        (cd "$root" && git -c safe.directory='*' ls-files -co --exclude-standard -z |
            while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done |
            tar -c --null -T -) | tar -x -C "$1"
    else
        (cd "$root" && tar -c --exclude='./build*' --exclude=./.git .) | tar -x -C "$1"
    fi
}

# make_user NAME: a system user that owns nothing but its home, unless there is one.
make_user() {
    id "$1" >/dev/null 2>&1 || useradd --system --create-home --home-dir "/var/lib/$1" --shell /bin/sh "$1" ||
        die "the user $1 could not be made"
}

# run_as USER COMMAND…: with a clean environment.
run_as() {
    local user=$1
    shift
    runuser -u "$user" -- env -i HOME="$(getent passwd "$user" | cut -d: -f6)" USER="$user" LOGNAME="$user" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM="${TERM:-dumb}" \
        ${CI:+CI="$CI"} "$@"
}
