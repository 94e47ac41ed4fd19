#!/usr/bin/env bash
# Installs what is missing, builds, trains MoE(8/64) and CoE-2(4/64) on 2 ranks for about a minute each, compares them.
# A second call goes on where the first one stopped; to train anew, remove runs/quickstart/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
steps=${COE_QUICKSTART_STEPS:-300}
runs=runs/quickstart

bash launcher/install_packages.sh build

echo "quickstart: building in build/" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() { "$@" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }; }
# The tests need packages that this script does not.
options=(-DCMAKE_BUILD_TYPE=Release)
[ -f build/CMakeCache.txt ] || options+=(-DCOE_TESTS=OFF)
quietly cmake -S . -B build -G Ninja "${options[@]}"
if [ -t 2 ]; then
  cmake --build build --target coe >&2 # ninja shows on one line how far it is
else
  quietly cmake --build build --target coe
fi

export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
if [ "$(id -u)" = 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
# Two ranks run on any machine; on one core they must not spin while the other works.
launch=(bash launcher/mpirun.sh -q -np 2 --oversubscribe --bind-to none)
[ "$(nproc)" -ge 2 ] || launch+=(--mca mpi_yield_when_idle 1)

settings=()
for setting in training.steps="$steps" training.batch=8 training.warmup_steps=25 \
  validation.every=25 validation.sequences=32 output.checkpoint_every=50; do
  settings+=(--set "$setting")
done
stopped=no
trap 'stopped=yes' INT # mpirun.sh ends well then
train() {
  "${launch[@]}" build/launcher/coe train "$1" --out "$2" --resume=auto "${settings[@]}" >/dev/null
  [ "$stopped" = no ] || exit 130
}
train configs/moe_8of64.toml $runs/moe
train configs/coe_2x4of64.toml $runs/coe

build/launcher/coe plot $runs/moe $runs/coe --out $runs/loss.svg >/dev/null
echo
build/launcher/coe compare $runs/moe $runs/coe
echo
echo "Both runs, their metrics and checkpoints are in $runs/, the loss curves in $runs/loss.svg."
