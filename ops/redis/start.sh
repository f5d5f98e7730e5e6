#!/bin/sh
# Redis with the password from its secret. The password stands in a file in memory, not among the process's arguments, where
# everybody on the host could read it.
set -eu
secret=/run/secrets/redis_password
refuse() {
  echo "redis: secret redis_password (ops/secrets/redis_password): $1; refusing to start" >&2
  exit 1
}
[ -r "$secret" ] || refuse "missing or not readable"
password=$(cat "$secret")
[ -n "$password" ] || refuse "empty"
[ "${#password}" -ge 16 ] || refuse "shorter than 16 characters"
case $password in *[!A-Za-z0-9_.~+/=-]*) refuse "has characters other than letters, digits and _.~+/=-" ;; esac
umask 077
{ cat /etc/decide/redis.conf; echo "requirepass $password"; } >/run/decide/redis.conf
exec redis-server /run/decide/redis.conf
