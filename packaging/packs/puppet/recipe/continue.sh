#!/usr/bin/env bash
# Goes on training the generator from the shipped pack, at the lowest priority: continue.sh CACHE [MINUTES] [options of puppet.train]
# CACHE (outside the repository) keeps the environment, pictures, latents and checkpoints; a killed run goes on where it was.
# The rate stays constant for long background runs; to finish, so that pictures get clean: continue.sh CACHE 45 --decay 1
# Then put the result into the pack: (cd recipe && CACHE/venv/bin/python -m puppet.export .. --generator CACHE/gen/ema.pt)
set -euo pipefail
recipe=$(cd "$(dirname "$0")" && pwd)
pack=$(dirname "$recipe")
mkdir -p "${1:?a folder for data and checkpoints}"
cache=$(cd "$1" && pwd)
minutes=${2:-150}
shift; shift || true
cd "$recipe"
if [ ! -x "$cache/venv/bin/python" ]; then
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" install -q -r requirements.txt
fi
export PATH="$cache/venv/bin:$PATH" OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
run() { nice -n 19 python -m "$@"; }
[ -e "$cache/data/meta9.npz" ] || run puppet.data "$cache/data" --ids 5000 --per 16
for k in 0 1 2 3 4 5 6 7 8 9; do
  [ -e "$cache/prep/latents$k.npz" ] || run puppet.prepare "$cache/data" "$pack" "$cache/prep" --per 10 --parts "$k"
done
run puppet.train "$cache/prep" "$cache/gen" --minutes "$minutes" --resume --pack "$pack" --decay 0 --warm 0.03 --lr 1e-3 --batch 64 "$@"
run puppet.evaluate "$pack" "$cache/sheet.png" --checkpoint "$cache/gen/ema.pt"
