#!/usr/bin/env bash
# Installs what is missing, builds in build/ and runs every test. Arguments go to ctest: tests/run.sh -R launcher
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash launcher/install_packages.sh build bench test
# shellcheck source=tests/with_ccache.sh
. tests/with_ccache.sh

export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
if [ "$(id -u)" = 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DCOE_TESTS=ON
cmake --build build
ctest --test-dir build --parallel "$(nproc)" --schedule-random --output-on-failure --no-tests=error --timeout 300 "$@"
