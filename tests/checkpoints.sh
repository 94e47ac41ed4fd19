#!/usr/bin/env bash
# What checkpoints withstand, at length: SIGKILL, EIO and ENOSPC at every call of a save, alone and on two ranks, FLIPS
# single-bit flips, a tenth as many truncations, and what checksums cost: checkpoints.sh [FLIPS], 10000 unless told
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash launcher/install_packages.sh build test
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DCOE_TESTS=ON >/dev/null
cmake --build build --target runtime_tests launcher_tests

export COE_FLIPS=${1:-10000} COE_EVERY_CALL=1 OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
cd build/tests
./runtime_tests --gtest_filter='CheckpointDamage.*:CheckpointCost.*' --gtest_also_run_disabled_tests
./launcher_tests --gtest_filter='FaultyDisk*:Killed*'
