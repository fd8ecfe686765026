#!/bin/sh
# Makes the virtual environment and installs the locked dependencies: venv.sh PYTHON VENV LOCKFILE
set -eu
python=$1 venv=$2 lock=$3
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Sambung needs Python 3.11 or newer; $("$python" --version 2>&1) was found. Name another with: make PYTHON=python3.x" >&2; exit 1; }
echo "Installing the locked dependencies into $venv (about a minute the first time)"
rm -rf "$venv"
if "$python" -m venv "$venv" >/dev/null 2>&1; then
  pip="$venv/bin/python -m pip"
elif rm -rf "$venv" && "$python" -m venv --without-pip "$venv" && "$python" -m pip --version >/dev/null 2>&1; then
  pip="$python -m pip --python $venv/bin/python"   # Debian without the python3-venv package
else
  echo "This Python can make no virtual environment with pip in it. On Debian or Ubuntu: apt install python3-venv" >&2; exit 1
fi
$pip install --disable-pip-version-check --quiet --progress-bar on --require-hashes --no-deps -r "$lock"
