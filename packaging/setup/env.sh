# shellcheck shell=bash
# Where everything lives that Greenroom's build and demo use outside the clone. Sourced by the Makefile and by setup.sh;
# source it yourself (`. packaging/setup/env.sh`) to use cargo and greenroom as they do. What you set already stays.

greenroom_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
greenroom_rust=1.95.0 # the oldest cargo that builds this workspace, and the one that setup.sh installs

export GREENROOM_CACHE="${GREENROOM_CACHE:-${HOME:?is not set, so the cache has no place: set HOME or GREENROOM_CACHE}/.cache/greenroom}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$GREENROOM_CACHE/target}"
export GREENROOM_ONNXRUNTIME="${GREENROOM_ONNXRUNTIME:-$GREENROOM_CACHE/onnxruntime/libonnxruntime.so}"
export GREENROOM_PACK="${GREENROOM_PACK:-$greenroom_root/packaging/packs/puppet}"
export PATH="$PATH:$GREENROOM_CACHE/tools/bin"

greenroom_cargo_is_new_enough() {
  local version
  version=$(RUSTUP_AUTO_INSTALL=0 cargo --version 2>/dev/null) || return 1
  version=${version#cargo }
  printf '%s\n%s\n' "$greenroom_rust" "${version%% *}" | sort --version-sort --check=quiet
}

# The cargo on the path where it is new enough; else rustup's own; else the toolchain that setup.sh put beside it.
greenroom_find_cargo() {
  greenroom_cargo_is_new_enough && return
  [ -x "${CARGO_HOME:-${HOME:-}/.cargo}/bin/cargo" ] || return
  export PATH="${CARGO_HOME:-${HOME:-}/.cargo}/bin:$PATH"
  greenroom_cargo_is_new_enough && return
  if RUSTUP_AUTO_INSTALL=0 RUSTUP_TOOLCHAIN=$greenroom_rust cargo --version >/dev/null 2>&1; then
    export RUSTUP_TOOLCHAIN=$greenroom_rust
  fi
}
greenroom_find_cargo || true
