#!/usr/bin/env bash
# Builds a local image with PostgreSQL, PgBouncer and Redis from Debian's packages, for machines that
# reach a Debian mirror but no container registry:
#
#	sudo conformance/containers/image/build.sh
#
# It does nothing if the image is there; -f builds it anew. Needs Linux, root, Docker, and
# debootstrap, which it fetches by apt-get if it is missing. The number at the end of the
# default name goes up with what is in it, so that an older one isn't used. Settings, by
# environment:
#
#	TASKS_TEST_DEBIAN_SUITE  which release of Debian, and so which versions (bookworm)
#	TASKS_TEST_DEBIAN_REDIS  the package that is Redis: redis-server, or from trixie on valkey-server
#	TASKS_TEST_LOCAL_IMAGE   what to call it (sideman-test-servers:bookworm-2; with valkey-server
#	                         sideman-test-servers:trixie-2-valkey)
#	TASKS_TEST_DEBIAN_MIRROR where the packages are (http://deb.debian.org/debian)
set -euo pipefail

suite=${TASKS_TEST_DEBIAN_SUITE:-bookworm}
redis=${TASKS_TEST_DEBIAN_REDIS:-redis-server}
case $redis in
redis-server) image=sideman-test-servers:$suite-2 ;;
valkey-server) image=sideman-test-servers:$suite-2-valkey ;;
*)
	printf 'image/build.sh: TASKS_TEST_DEBIAN_REDIS is %s, and must be redis-server or valkey-server\n' "$redis" >&2
	exit 2
	;;
esac
image=${TASKS_TEST_LOCAL_IMAGE:-$image}
mirror=${TASKS_TEST_DEBIAN_MIRROR:-http://deb.debian.org/debian}
here=$(cd "$(dirname "$0")" && pwd)

say() { printf 'image/build.sh: %s\n' "$*" >&2; }
die() {
	say "$@"
	exit 1
}

force=
case ${1:-} in
'') ;;
-f) force=1 ;;
*) die "usage: $0 [-f]" ;;
esac

command -v docker >/dev/null || die "docker isn't installed"
docker version >/dev/null 2>&1 || die "the Docker daemon doesn't answer: docker version says why"
if [ -z "$force" ] && docker image inspect "$image" >/dev/null 2>&1; then
	say "$image is there"
	exit 0
fi

[ "$(uname -s)" = Linux ] || die "debootstrap needs Linux; get the official images instead, or name running servers in TASKS_TEST_POSTGRES_URL and TASKS_TEST_REDIS_URL"
[ "$(id -u)" = 0 ] || die "debootstrap needs root: sudo $0"
# Not /tmp if that may be mounted nodev or small.
work=$(mktemp -d "${TMPDIR:-/var/tmp}/sideman-image.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root log=$work/log
mkdir -m 755 "$root"

if command -v debootstrap >/dev/null; then
	bootstrap=(debootstrap)
else
	# Used without being installed: it is a shell script, so the machine stays as it was.
	command -v apt-get >/dev/null || die "debootstrap is missing, and so is apt-get to fetch it"
	say "fetching debootstrap"
	mkdir "$work/debootstrap"
	fetch() { (cd "$work" && apt-get download -qq debootstrap) >"$log" 2>&1; }
	fetch || { apt-get update -qq >"$log" 2>&1 && fetch; } || {
		tail -n 20 "$log" >&2
		die "debootstrap couldn't be fetched; see above"
	}
	dpkg-deb -x "$work"/debootstrap_*.deb "$work/debootstrap"
	export DEBOOTSTRAP_DIR=$work/debootstrap/usr/share/debootstrap
	bootstrap=("$work/debootstrap/usr/sbin/debootstrap")
fi

say "building $image from $mirror, about a minute"
start=$SECONDS
# Without recommends: no cron, no ssl-cert; runuser and setpriv come with util-linux.
"${bootstrap[@]}" --variant=minbase --include="postgresql,pgbouncer,$redis" "$suite" "$root" "$mirror" >"$log" 2>&1 || {
	tail -n 20 "$log" >&2
	die "debootstrap failed; see above. Is $mirror reachable? TASKS_TEST_DEBIAN_MIRROR names another"
}
# The cluster that the package made is not wanted, nor are caches and manuals.
rm -rf "$root"/var/lib/postgresql/* "$root"/etc/postgresql/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* \
	"$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/*
install -m 755 "$here/entrypoint.sh" "$root/usr/local/bin/docker-entrypoint.sh"
bin=$(cd "$root" && ls -d usr/lib/postgresql/*/bin | tail -n 1)
tar -C "$root" --numeric-owner --one-file-system -c . | docker import \
	--change "ENV PATH=/$bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
	--change 'ENV PGDATA=/var/lib/postgresql/data' \
	--change 'VOLUME /var/lib/postgresql/data' \
	--change 'VOLUME /data' \
	--change 'WORKDIR /data' \
	--change 'EXPOSE 5432 6379' \
	--change 'ENTRYPOINT ["docker-entrypoint.sh"]' \
	--message "Debian $suite with postgresql, pgbouncer and $redis" - "$image" >/dev/null
say "built $image in $((SECONDS - start)) s"
