#!/usr/bin/env bash
# Ask Decide what to do with a symbol: decide.sh AAPL
set -euo pipefail

# The key, if the server wants one, goes in by a pipe: what stands in a command line is seen by others (ps).
curl --silent --show-error --fail-with-body --max-time 5 \
  --config <(printf '%s' "${DECIDE_API_KEY:+header = \"Authorization: Bearer $DECIDE_API_KEY\"}") \
  --header "Content-Type: application/json" \
  --data "{\"symbol\": \"${1:-AAPL}\"}" \
  "${DECIDE_URL:-http://localhost:8000}/decide"
