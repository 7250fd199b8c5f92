#!/bin/sh
# Install anvil, the second engine of the parity tests, into build/anvil (Linux and macOS; needs npm).
set -eu
cd "$(dirname "$0")/.."
mkdir -p build/anvil
npm install --no-save --no-audit --no-fund --prefix build/anvil @foundry-rs/anvil@1.7.1
