#!/usr/bin/env bash
# Brings a bare Debian 12 to the point where Greenroom builds and runs.
#
#   setup.sh demo         what `make demo` needs: system packages, Rust, the ONNX Runtime library
#   setup.sh test         the same, and what only `make test` needs: cargo-nextest, the recipe's Python packages, PostgreSQL's
#                         and Slurm's programs (no server is set up or started)
#   setup.sh test-full    the same, and what the recipe trains with (torch: gigabytes)
#   setup.sh openvino     ONNX Runtime with OpenVINO's kernels beside the other one: faces in half the time
#   setup.sh measure      the same, and python insightface, beside which `cargo xtask measure identity` measures
#   setup.sh measure-dispatch   Redis, RQ and Celery, beside which `measure dispatch --peers` measures (no server is left running)
#   setup.sh measure-diffusion  python diffusers and peft (gigabytes), beside which `measure diffusion` and `measure lora` do
#
# Quick and silent where nothing is missing. Outside the system's package manager and rustup, everything goes below
# GREENROOM_CACHE (~/.cache/greenroom).
set -euo pipefail

# shellcheck source=packaging/setup/env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

packages=(
  build-essential pkg-config ca-certificates curl git python3 python3-venv
  libavcodec-dev libavformat-dev libavutil-dev libswscale-dev libswresample-dev libavfilter-dev
  libclang1-14 libclang-common-14-dev # bindgen reads libav's headers with these
)
test_packages=(
  libegl1 libfontconfig1 libgl1 # skia, which draws the pack's puppets, links these
  openssl postgresql-15         # the tests start servers of their own, as the user that the package makes
  munge slurm-client slurmctld slurmd # and a Slurm cluster
)
onnxruntime_version=1.31.1
openvino_version=1.24.1
nextest_version=0.9.143
rustup_installer=https://static.rust-lang.org/rustup/rustup-init.sh
log=$GREENROOM_CACHE/setup.log
recipe=$greenroom_root/packaging/packs/puppet/recipe

main() {
  { mkdir -p "$GREENROOM_CACHE" && : >"$log"; } 2>/dev/null ||
    fail "cannot write to $GREENROOM_CACHE: set GREENROOM_CACHE to a folder of yours and run this again."
  case "${1:-}" in
    demo) ;;
    test | test-full) packages+=("${test_packages[@]}") ;;
    openvino | measure)
      openvino
      [ "$1" != measure ] || peer_python measure-venv identity --no-deps
      return 0
      ;;
    measure-dispatch)
      packages=(redis-server)
      system_packages
      peer_python measure-dispatch-venv dispatch
      return 0
      ;;
    measure-diffusion)
      peer_python measure-diffusion-venv diffusion
      return 0
      ;;
    *) fail "say what to set up: $0 demo, test, test-full, openvino, measure, measure-dispatch or measure-diffusion." ;;
  esac
  system_packages
  rust
  onnxruntime
  [ "$1" != demo ] || return 0
  rust_components
  nextest
  recipe_python recipe-venv requirements-test.txt
  [ "$1" = test-full ] || return 0
  recipe_python recipe-train-venv requirements.txt
}

system_packages() {
  [ "${GREENROOM_SKIP_PACKAGES:-}" != 1 ] || return 0
  local missing root=()
  missing=$(missing_packages)
  [ -n "$missing" ] || return 0

  command -v apt-get >/dev/null || fail "this system has no apt-get: install the equals of Debian 12's $missing yourself, then set GREENROOM_SKIP_PACKAGES=1 and run this again."
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || fail "sudo is missing: as root, run 'apt-get install -y --no-install-recommends $missing', then run this again."
    root=(sudo)
  fi
  say "installing system packages (a few minutes): $missing"
  # Words of $missing are package names of the list above.
  # shellcheck disable=SC2086
  { quietly "${root[@]}" apt-get update && without_servers "${root[@]}" \
    env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } ||
    fail "apt-get could not install $missing: see $log, mend what it names, and run this again."
}

# The packages of PostgreSQL and Slurm make and start servers unless they are told not to. That is for this once: what somebody
# installs later is theirs to decide. Words in front are what makes us root.
without_servers() {
  local root=() settings=/etc/postgresql-common/createcluster.d/greenroom-setup.conf policy=/usr/sbin/policy-rc.d ours="" status=0
  [ "$1" != sudo ] || root=(sudo)
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | quietly "${root[@]}" tee "$policy"
    quietly "${root[@]}" chmod 755 "$policy"
    ours=1
  fi
  quietly "${root[@]}" mkdir -p "${settings%/*}"
  echo "create_main_cluster = false" | quietly "${root[@]}" tee "$settings"
  quietly "$@" || status=$?
  quietly "${root[@]}" rm -f "$settings" ${ours:+"$policy"}
  return $status
}

missing_packages() {
  local installed package missing=()
  installed=$(dpkg-query --show --showformat='${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null || true)
  for package in "${packages[@]}"; do
    grep --quiet --line-regexp --fixed-strings "installed $package" <<<"$installed" || missing+=("$package")
  done
  echo "${missing[*]}"
}

rust() {
  ! greenroom_cargo_is_new_enough || return 0
  if command -v rustup >/dev/null; then
    say "installing Rust $greenroom_rust beside your other toolchains, by rustup; your default stays"
    quietly rustup toolchain install "$greenroom_rust" --profile minimal --component clippy --component rustfmt || no_rust
  else
    say "installing Rust $greenroom_rust by rustup into ${CARGO_HOME:-$HOME/.cargo}; your shell's start files stay as they are"
    local installer=$GREENROOM_CACHE/rustup-init.sh
    quietly curl --proto '=https' --tlsv1.2 --fail --silent --show-error --output "$installer" "$rustup_installer" || no_rust
    quietly env RUSTUP_INIT_SKIP_PATH_CHECK=yes sh "$installer" -y --no-modify-path --profile minimal \
      --default-toolchain "$greenroom_rust" --component clippy --component rustfmt || no_rust
    rm -f "$installer"
  fi
  greenroom_find_cargo || true
  greenroom_cargo_is_new_enough || no_rust
}

no_rust() {
  fail "Rust $greenroom_rust or newer is missing and could not be installed (see $log): install it from https://rustup.rs and run this again."
}

rust_components() {
  ! { cargo clippy --version && cargo fmt --version; } >/dev/null 2>&1 || return 0
  say "adding clippy and rustfmt to the Rust toolchain"
  quietly rustup component add clippy rustfmt ||
    fail "clippy and rustfmt are missing (see $log): install them for the Rust toolchain that 'cargo --version' names, and run this again."
}

# The library comes from the Python wheel: always the one for Python 3.11, so that its bytes can be named here.
onnxruntime() {
  local library=$GREENROOM_CACHE/onnxruntime/libonnxruntime.so machine sha256 work
  if [ "$GREENROOM_ONNXRUNTIME" != "$library" ]; then
    [ -r "$GREENROOM_ONNXRUNTIME" ] || fail "GREENROOM_ONNXRUNTIME names $GREENROOM_ONNXRUNTIME, which cannot be read: correct it, or unset it to have the library fetched."
    return 0
  fi
  machine=$(uname -m)
  case $machine in
    x86_64) sha256=fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3 ;;
    aarch64) sha256=8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467 ;;
    *) fail "there is no ONNX Runtime $onnxruntime_version for $machine here: build libonnxruntime.so and set GREENROOM_ONNXRUNTIME to its path." ;;
  esac
  ! has_sha256 "$library" "$sha256" || return 0

  say "fetching ONNX Runtime $onnxruntime_version (24 MB)"
  work=$(mktemp --directory "$GREENROOM_CACHE/onnxruntime-XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  { quietly python3 -m venv "$work/venv" &&
    quietly "$work/venv/bin/python" -m pip download --no-deps --only-binary=:all: --implementation cp --python-version 3.11 \
      --abi cp311 --platform "manylinux_2_28_$machine" --dest "$work" "onnxruntime==$onnxruntime_version"; } ||
    fail "ONNX Runtime $onnxruntime_version could not be fetched (see $log): mend the network, or set GREENROOM_ONNXRUNTIME to a libonnxruntime.so of yours, and run this again."
  python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))' \
    "$work"/onnxruntime-*.whl "onnxruntime/capi/libonnxruntime.so.$onnxruntime_version" >"$work/libonnxruntime.so"
  has_sha256 "$work/libonnxruntime.so" "$sha256" ||
    fail "the ONNX Runtime library that was fetched has another SHA-256 than $sha256, so it was thrown away: run this again, or set GREENROOM_ONNXRUNTIME."
  mkdir -p "${library%/*}"
  mv "$work/libonnxruntime.so" "$library"
}

# The whole folder of the wheel: the provider finds OpenVINO's libraries beside itself.
openvino() {
  local folder=$GREENROOM_CACHE/onnxruntime-openvino library=libonnxruntime.so.$openvino_version machine sha256 work
  machine=$(uname -m)
  case $machine in
    x86_64) sha256=2d963a419b96018b79dfe63bb50120ddcb724149912a8a6d8ac747a557c089f4 ;;
    *) fail "there is no ONNX Runtime with OpenVINO for $machine here: GREENROOM_ONNXRUNTIME may name one of yours." ;;
  esac
  ! has_sha256 "$folder/$library" "$sha256" || return 0

  say "fetching ONNX Runtime $openvino_version with OpenVINO (59 MB)"
  work=$(mktemp --directory "$GREENROOM_CACHE/onnxruntime-XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  { quietly python3 -m venv "$work/venv" &&
    quietly "$work/venv/bin/python" -m pip install --no-deps --only-binary=:all: --implementation cp --python-version 3.11 \
      --abi cp311 --platform "manylinux_2_28_$machine" --target "$work/wheel" "onnxruntime-openvino==$openvino_version"; } ||
    fail "ONNX Runtime $openvino_version with OpenVINO could not be fetched (see $log): mend the network and run this again."
  has_sha256 "$work/wheel/onnxruntime/capi/$library" "$sha256" ||
    fail "the ONNX Runtime library that was fetched has another SHA-256 than $sha256, so it was thrown away: run this again."
  rm -f "$work"/wheel/onnxruntime/capi/*.py "$work"/wheel/onnxruntime/capi/*pybind11*
  ln -s "$library" "$work/wheel/onnxruntime/capi/libonnxruntime.so"
  rm -rf "$folder"
  mv "$work/wheel/onnxruntime/capi" "$folder"
}

# What ours is measured beside: the folder of the measurement lists it. Further words go to pip (`--no-deps` where the file
# lists all that is needed).
peer_python() {
  local venv=$GREENROOM_CACHE/$1 requirements=$greenroom_root/xtask/src/measure/$2/requirements.txt wanted
  wanted=$(sha256sum <"$requirements")
  [ "$(cat "$venv/installed" 2>/dev/null)" != "$wanted" ] || return 0
  say "installing the python peer of measure $2 into $venv"
  { quietly python3 -m venv --clear "$venv" &&
    quietly "$venv/bin/python" -m pip install "${@:3}" --requirement "$requirements" &&
    echo "$wanted" >"$venv/installed"; } ||
    fail "the python peer of measure $2 could not be installed (see $log): mend the network and run this again."
}

has_sha256() {
  [ -f "$1" ] && echo "$2  $1" | sha256sum --check --status
}

# Built without optimisation, which saves minutes: it only starts the tests.
nextest() {
  ! cargo nextest --version >/dev/null 2>&1 || return 0
  say "building cargo-nextest $nextest_version, which runs the tests (some minutes, once)"
  quietly env -u CARGO_TARGET_DIR CARGO_PROFILE_DEV_DEBUG=0 \
    cargo install cargo-nextest --version "$nextest_version" --locked --debug --root "$GREENROOM_CACHE/tools" ||
    fail "cargo-nextest could not be built (see $log): run 'cargo install cargo-nextest --locked' and run this again."
}

# recipe_python FOLDER REQUIREMENTS: a virtual environment of that name in the cache, as the recipe's file asks.
recipe_python() {
  local venv=$GREENROOM_CACHE/$1 requirements=$recipe/$2 wanted
  [ -f "$requirements" ] || fail "$requirements is missing, so the pack recipe's tests cannot run: restore it from git."
  wanted=$(cat "$recipe"/requirements*.txt | sha256sum)
  [ "$(cat "$venv/installed" 2>/dev/null)" != "$wanted" ] || return 0
  say "installing the Python packages of the pack recipe's $2 into $venv"
  { quietly python3 -m venv --clear "$venv" &&
    quietly "$venv/bin/python" -m pip install --requirement "$requirements" &&
    echo "$wanted" >"$venv/installed"; } ||
    fail "the pack recipe's Python packages could not be installed (see $log): mend the network and run this again."
}

quietly() {
  "$@" >>"$log" 2>&1
}

say() {
  echo "setup: $*"
}

fail() {
  echo "setup: $*" >&2
  exit 1
}

main "$@"
