#!/bin/sh
# The entrypoint of the image that build.sh makes. It does what those of the official
# images do with the same arguments and variables: "postgres -c name=value …" as the user
# postgres, after an initdb the first time, and "redis-server …" as the user redis. Where there
# is a Valkey it is what "redis-server" means, as in the official image of that.
set -eu

case ${1:-} in
postgres)
	mkdir -p "$PGDATA"
	chown postgres:postgres "$PGDATA"
	chmod 700 "$PGDATA"
	if [ ! -s "$PGDATA/PG_VERSION" ]; then
		user=${POSTGRES_USER:-postgres}
		printf '%s\n' "${POSTGRES_PASSWORD:?is not set}" >/tmp/password
		chown postgres /tmp/password
		setpriv --reuid=postgres --regid=postgres --init-groups initdb --username="$user" \
			--pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync >/dev/null
		rm /tmp/password
		echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
		if [ "${POSTGRES_DB:-postgres}" != postgres ]; then
			echo "CREATE DATABASE \"$POSTGRES_DB\"" |
				setpriv --reuid=postgres --regid=postgres --init-groups postgres --single -j postgres >/dev/null
		fi
	fi
	exec setpriv --reuid=postgres --regid=postgres --init-groups "$@" -c listen_addresses='*'
	;;
redis-server | valkey-server)
	user=redis
	if command -v valkey-server >/dev/null; then
		user=valkey
		shift
		set -- valkey-server "$@"
	fi
	chown "$user:$user" .
	exec setpriv --reuid="$user" --regid="$user" --init-groups "$@"
	;;
esac
exec "$@"
