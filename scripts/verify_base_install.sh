#!/usr/bin/env bash
# Check that the base install alone verifies a receipt: bash scripts/verify_base_install.sh ENVIRONMENT
# Once with a receipt that it makes itself, once with the committed conformance vector.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

expect() {
  local wanted=$1 code=0
  shift
  "$@" >"$work/out" 2>&1 || code=$?
  if [ "$code" != "$wanted" ]; then
    cat "$work/out" >&2
    echo "expected exit code $wanted, got $code: $*" >&2
    exit 1
  fi
}

"$environment/bin/python" - <<'PYTHON'
import importlib.util, sys
heavy = [name for name in ("numpy", "web3", "eth", "sklearn", "matplotlib", "jinja2", "requests") if importlib.util.find_spec(name)]
sys.exit(f"the base install brings {', '.join(heavy)}" if heavy else 0)
PYTHON
echo "packages: $("$environment/bin/python" -m pip list --format=freeze --disable-pip-version-check | grep -c -v -i -E '^(pip|setuptools)=')"

"$environment/bin/python" - "$work" <<'PYTHON'
# A receipt made here by the installed package itself: it must verify, and one changed byte must be called false.
import sys
from pathlib import Path
from tallystick import Journal, Party
from tallystick.node import CardFile, make_policy
from tallystick.proof import format_policy
work = Path(sys.argv[1])
party = Party.create("Clinic")
with Journal.open(work / "journal", party=party) as journal:
    entry = journal.append("document.recorded", {"title": "protocol"}, payload=b"text")
    receipt = journal.receipt(entry.id).format()
(work / "r.receipt.json").write_bytes(receipt)
(work / "policy.json").write_bytes(format_policy(make_policy("mine", [CardFile(party.cards)])))
at = receipt.index(b'"statement":"') + 100
(work / "forged.receipt.json").write_bytes(receipt[:at] + (b"A" if receipt[at:at+1] != b"A" else b"B") + receipt[at + 1:])
PYTHON
program="$environment/bin/tallystick"
expect 0 "$program" verify "$work/r.receipt.json" --policy "$work/policy.json"
expect 3 "$program" verify "$work/r.receipt.json"
expect 1 "$program" verify "$work/forged.receipt.json"
expect 2 "$program" verify "$work/absent.receipt.json"

# The committed vector, made once and for all: what verified then verifies now.
expect 0 "$program" verify tests/conformance/vectors/receipt.receipt.json --policy tests/conformance/vectors/policy.json
expect 3 "$program" verify tests/conformance/vectors/receipt.receipt.json

# What needs an extra says so, with the line to type.
expect 1 "$program" pilot healthcare --out "$work/pilot"
grep -q "pip install" "$work/out" || { cat "$work/out" >&2; exit 1; }
echo "the base install verifies receipts: ok"
