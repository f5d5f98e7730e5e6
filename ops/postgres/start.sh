#!/bin/sh
# PostgreSQL with the password from its secret, which its image takes from its environment, or from a variable of its own that not
# all images have. In the container's environment it is seen by nobody outside.
set -eu
secret=/run/secrets/database_password
refuse() {
  echo "postgres: secret database_password (ops/secrets/database_password): $1; refusing to start" >&2
  exit 1
}
[ -r "$secret" ] || refuse "missing or not readable"
POSTGRES_PASSWORD=$(cat "$secret")
[ "${#POSTGRES_PASSWORD}" -ge 16 ] || refuse "shorter than 16 characters"
export POSTGRES_PASSWORD
exec docker-entrypoint.sh postgres
