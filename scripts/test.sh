#!/bin/sh
# The whole test suite in two lanes at once: tests of a real network mostly wait for its blocks, the others compute.
#   sh scripts/test.sh .venv/bin
# What the network's tests say is shown after the others; either lane's failure is the run's.
set -u
bin=$1
log=$(mktemp)
"$bin/python" -m pytest --verbosity=0 -m network >"$log" 2>&1 &
network=$!
# Ctrl-C does not reach what runs in the background; what the tests started there ends with them.
trap 'kill "$network" 2>/dev/null; rm -f "$log"; exit 130' INT TERM
status=0
"$bin/python" -m pytest --verbosity=0 -m "not network" || status=$?
echo "the tests of a network of four validators:"
wait "$network" || status=$?
cat "$log"
rm -f "$log"
exit "$status"
