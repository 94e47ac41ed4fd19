#!/usr/bin/env bash
# Compiles and links the CUDA twins in build-cuda/, for one architecture (default 90a), and tests their numbers over the
# emulator, and where there is a GPU on it: build_cuda.sh [ARCHITECTURES]. Says so where there is no nvcc.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! command -v nvcc >/dev/null; then
  echo "build_cuda: nvcc is missing, so the CUDA twins are not compiled"
  exit 0
fi

bash launcher/install_packages.sh build test
# shellcheck source=tests/with_ccache.sh
. tests/with_ccache.sh
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
cmake --preset cuda -DCOE_CUDA_ARCHITECTURES="${1:-90a}" >/dev/null
cmake --build --preset cuda --target coe emulated_tests emulated_coe
# As many processes as cores, each with its share of the tests.
shares=$(nproc) processes=()
for ((share = 0; share < shares; ++share)); do
  COE_TESTS_NEED_CUDA=1 GTEST_TOTAL_SHARDS=$shares GTEST_SHARD_INDEX=$share OMP_NUM_THREADS=1 \
    build-cuda/tests/emulated_tests --gtest_brief=1 --gtest_filter='*Cuda*' &
  processes+=($!)
done
for process in "${processes[@]}"; do wait "$process"; done
bash tests/gpu/processes.sh build-cuda/tests/emulated_coe tests/cases/{dense,model-coe-2x2of8-authors}.safetensors \
  >build-cuda/processes.txt 2>&1 || { code=$?; ((code == 77)) || { cat build-cuda/processes.txt; exit "$code"; }; }
grep '^processes: \|^skipped: ' build-cuda/processes.txt
echo "build_cuda: the CUDA twins compile, link and give the CPU's numbers over the emulator"
nvidia-smi -L 2>/dev/null | grep -q '^GPU ' || exit 0
cmake --build --preset cuda --target kernels_tests runtime_tests
for program in kernels_tests runtime_tests; do
  COE_TESTS_NEED_CUDA=1 build-cuda/tests/$program --gtest_brief=1 --gtest_filter='*Cuda*'
done
echo "build_cuda: and on the GPU"
