#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a virtual environment with the package, installed editable, and all that its tests and
# examples need:  PYTHON=python3.12 bash _build/environment.sh DIR EXTRAS
set -euo pipefail
target=$1 extras=$2
cd "$(dirname "$0")/.."

supported() {
  "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

# Debian ships Pythons that cannot make an environment until python3-venv is installed.
makes_environments() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

find_python() {
  local candidate fallback=
  if [ -n "${PYTHON:-}" ]; then
    supported "$PYTHON" && echo "$PYTHON" && return
    echo "PYTHON=$PYTHON is not a Python 3.10, 3.11, 3.12 or 3.13." >&2
    return 1
  fi
  # A version manager may keep its Pythons off the PATH or behind names that do nothing.
  for candidate in python3 python3.12 python3.11 python3.13 python3.10 python \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[0-3].*/bin/python; do
    supported "$candidate" || continue
    makes_environments "$candidate" && echo "$candidate" && return
    fallback=${fallback:-$candidate}
  done
  [ -n "$fallback" ] && echo "$fallback" && return
  echo "No Python 3.10, 3.11, 3.12 or 3.13 found. Install one, or name it: make PYTHON=/path/to/python" >&2
  return 1
}

make_environment() {
  if makes_environments "$1"; then
    "$1" -m venv "$target"
  elif "$1" -m pip --version >/dev/null 2>&1; then
    # virtualenv brings its own pip, so it does without the part that Debian left out.
    "$1" -m pip install --quiet --target build/virtualenv virtualenv
    PYTHONPATH=build/virtualenv "$1" -m virtualenv --quiet "$target"
  else
    echo "$1 can make no virtual environment: 'apt install python3-venv' helps, or name another Python:" \
      "make PYTHON=/path/to/python" >&2
    return 1
  fi
}

real_path() { "$1" -c 'import os, sys; print(os.path.realpath(sys.executable))'; }

# The stamp is written last: an install that was interrupted starts anew.
rm -f "$target/.ready"
# An environment is updated in place if it is of this clone and, where one was named, of that Python.
here=$(head -1 "$target/.origin" 2>/dev/null || true)
if [ "$here" != "$PWD" ] || ! supported "$target/bin/python" ||
  { [ -n "${PYTHON:-}" ] && [ "$(tail -1 "$target/.origin")" != "$(real_path "$PYTHON")" ]; }; then
  python=$(find_python)
  rm -rf "$target"
  echo "Making $target with $("$python" --version) ($python)"
  make_environment "$python"
  printf '%s\n' "$PWD" "$(real_path "$python")" >"$target/.origin"
fi

read -ra tools <<<"$("$target/bin/python" _build/oaq_build.py tools)"
fetched="about 0.1 GB"
case $extras in *train* | *examples*) fetched="about 0.8 GB, mostly TensorFlow" ;; esac
echo "Installing oaq-keras[$extras] ${tools[*]}; the first time fetches $fetched"
OAQ_BUILD_KERNELS=OFF PIP_DISABLE_PIP_VERSION_CHECK=1 "$target/bin/python" -m pip install --quiet \
  --editable ".[$extras]" "${tools[@]}"
cp "$target/.origin" "$target/.ready"
