#!/usr/bin/env bash
# Runs `coe bench layer` and the same layer in PyTorch with gloo in turns, ROUNDS times each on 2 ranks of one thread, and
# prints medians and, from run to run, the ratios with their spread:   bash tests/bench/compare.sh BUILD [ROUNDS]
set -euo pipefail
build=$(realpath "${1:?usage: compare.sh BUILD [ROUNDS]}")
rounds=${2:-5}
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
die() { echo "compare: $*" >&2; exit 1; }
python=${PYTHON:-/usr/bin/python3}
[ -x "$build/launcher/coe" ] || die "$build/launcher/coe is missing: cmake --build $build --target coe"
command -v mpirun >/dev/null || die "mpirun is missing: apt-get install openmpi-bin"
"$python" -c 'import torch' 2>/dev/null || die "PyTorch is missing for $python: apt-get install python3-torch"
[[ "$rounds" =~ ^[1-9][0-9]*$ ]] || die "ROUNDS is $rounds, must be a number from 1 on"

export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

# NAME, then the options of both programs; those of coe alone stand in `sequence`.
w1="--tokens 4096 --hidden 256 --expert-hidden 176" w2="--tokens 2048 --hidden 1024 --expert-hidden 704"
w3="--tokens 128 --hidden 256 --expert-hidden 176 --forward-only"
coe="--top-k 4 --iterations 2" moe="--top-k 8 --iterations 1"
names=("W1 MoE(8/64)" "W1 CoE-2(4/64)" "W2 MoE(8/64)" "W2 CoE-2(4/64)" "W3 CoE-2(4/64) forward")
options=("$w1 $moe" "$w1 $coe" "$w2 $moe" "$w2 $coe" "$w3 $coe")
sequences=(256 256 256 256 128)

for ((round = 0; round < rounds; ++round)); do
  for i in "${!names[@]}"; do
    # shellcheck disable=SC2086  # options are words
    mpirun -q -np 2 "$build/launcher/coe" bench layer ${options[i]} --sequence "${sequences[i]}" \
      --json "$results/coe-$i-$round.json" >/dev/null
    # shellcheck disable=SC2086
    "$python" "$here/torch_layer.py" ${options[i]} >"$results/torch-$i-$round.json"
  done
done
"$python" "$here/ratios.py" "$results" "$rounds" "${names[@]}"
