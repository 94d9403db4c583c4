#!/usr/bin/env bash
# Installs what tests of the Unity package's shaders need beside Debian's glslang-tools and mesa-vulkan-drivers (scripts/test): wgpu
# from PyPI (14 MB with what it brings). Tools for tests only: none of it goes into a user's environment.
#
#   unity_sample/ci/graphics_tools.sh [--long]
#
# The Python packages go into share/flameport-ci/graphics of the environment whose `python` is first on the PATH, or into the
# folder that FLAMEPORT_UNITY_TOOLS names. --long adds a second compiler, slang (slangpy, 290 MB), beside it. Where it
# cannot be installed, the tests are skipped; in CI they fail.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
folder="${FLAMEPORT_UNITY_TOOLS:-$(python -c 'import sys; print(sys.prefix)')/share/flameport-ci/graphics}"
mkdir -p "$folder"
slang="slangpy==0.43.1"

# packages FOLDER PIP_ARGUMENTS..: again only when they have changed.
packages() {
  local into="$1" stamp
  shift
  stamp="$into/.installed"
  if [ "$(cat "$stamp" 2>/dev/null)" != "$*$(cat "$here/graphics_requirements.txt")" ]; then
    echo "installing $into" >&2
    python -m pip install -qq --disable-pip-version-check --no-deps --upgrade --target "$into" "$@" ||
      { echo "could not install $*; Unity's shader tests will be skipped" >&2; return 0; }
    echo "$*$(cat "$here/graphics_requirements.txt")" >"$stamp"
  fi
}

packages "$folder" -r "$here/graphics_requirements.txt"
if [ "${1:-}" = "--long" ]; then packages "$folder-slang" "$slang"; fi
