#!/usr/bin/env bash
# Sees to it that there are images with PostgreSQL, PgBouncer and Redis for the tests: those that are there,
# else the official ones, if a registry answers, else a local one that build.sh builds.
# Where none of that can be it says so and succeeds: the tests then are skipped, or fail if
# TASKS_TEST_REQUIRE names the server.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf 'images: %s\n' "$*" >&2; }
local=${TASKS_TEST_LOCAL_IMAGE:-sideman-test-servers:bookworm-2}

there() { docker image inspect "$1" >/dev/null 2>&1; }

# need NAME URL IMAGE DEFAULT
need() {
	[ -z "$2" ] || return 0 # a running server is named
	local image=${3:-$4}
	there "$image" && return 0
	[ -z "$3" ] && there "$local" && return 0
	say "pulling $image for $1"
	timeout 300 docker pull -q "$image" >/dev/null && return 0
	if [ -n "$3" ]; then
		say "NOT TESTED: $image can't be pulled"
		return 0
	fi
	./build.sh || say "NOT TESTED: what needs $1; docs/testing.md says how to get one"
}

if [ -n "${TASKS_TEST_POSTGRES_URL:-}" ] && [ -n "${TASKS_TEST_REDIS_URL:-}" ]; then
	exit 0
fi
if ! command -v docker >/dev/null || ! docker version >/dev/null 2>&1; then
	say "NOT TESTED: what needs PostgreSQL or Redis, because Docker isn't there; docs/testing.md says what else will do"
	exit 0
fi
need PostgreSQL "${TASKS_TEST_POSTGRES_URL:-}" "${TASKS_TEST_POSTGRES_IMAGE:-}" postgres:16-alpine
need PgBouncer "${TASKS_TEST_POSTGRES_URL:-}" "${TASKS_TEST_PGBOUNCER_IMAGE:-}" edoburu/pgbouncer:v1.25.2-p0
need Redis "${TASKS_TEST_REDIS_URL:-}" "${TASKS_TEST_REDIS_IMAGE:-}" redis:7-alpine
