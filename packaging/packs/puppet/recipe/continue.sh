#!/usr/bin/env bash
# Goes on training the generator from the shipped pack, at the lowest priority: continue.sh CACHE [MINUTES] [options of puppet.train]
# CACHE (outside the repository) keeps the environment, pictures, latents and checkpoints; a killed run goes on where it was.
# The rate stays constant for long background runs; to finish, so that pictures get clean: continue.sh CACHE 45 --decay 1
# It ends with the path of the weights; to put them into the pack: CACHE/venv/bin/python -m puppet.export .. --generator WEIGHTS
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
# Latents and embeddings are those of the pack's VAE and embedder: another pack prepares them anew.
models=$(cat "$pack"/vae/*.safetensors "$pack/embedder.onnx" | sha256sum | cut -c 1-12)
prep="$cache/prep-$models" gen="$cache/gen-$models"
run puppet.data "$cache/pictures" --ids 5000 --per 16
for k in 0 1 2 3 4 5 6 7 8 9; do
  [ -e "$prep/latents$k.npz" ] || run puppet.prepare "$cache/pictures" "$pack" "$prep" --per 10 --parts "$k"
done
run puppet.train "$prep" "$gen" --minutes "$minutes" --resume --pack "$pack" --judge "$pack" --decay 0 --warm 0.03 --lr 1e-3 --batch 64 "$@"
run puppet.evaluate "$pack" "$cache/sheet.png" --checkpoint "$gen/ema.pt"
echo "The weights are $gen/ema.pt"
