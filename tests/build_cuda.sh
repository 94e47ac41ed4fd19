#!/usr/bin/env bash
# Compiles and links the CUDA twins in build-cuda/, for one architecture (default 90a), and runs the tests of the kernels
# and of the device's layer, which skip without a GPU, and again over the emulator, where they never do: build_cuda.sh
# [ARCHITECTURES]. Says so where there is no nvcc.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! command -v nvcc >/dev/null; then
  echo "build_cuda: nvcc is missing, so the CUDA twins are not compiled"
  exit 0
fi

bash launcher/install_packages.sh build test
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
cmake --preset cuda -DCOE_CUDA_ARCHITECTURES="${1:-90a}" >/dev/null
cmake --build --preset cuda --target coe kernels_tests runtime_tests emulated_tests
build-cuda/tests/kernels_tests --gtest_brief=1
build-cuda/tests/runtime_tests --gtest_brief=1 --gtest_filter='*Cuda*'
COE_TESTS_NEED_CUDA=1 build-cuda/tests/emulated_tests --gtest_brief=1 --gtest_filter='*Cuda*'
echo "build_cuda: the CUDA twins compile, link and give the CPU's numbers over the emulator"
