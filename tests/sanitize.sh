#!/usr/bin/env bash
# Builds and runs tests under sanitizers: sanitize.sh [address|thread]; without an argument address, then thread.
# address: address and undefined behaviour, every test, in build-asan. thread: ranks as threads of one process, in
# build-tsan.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ $# -eq 0 ]; then
  bash tests/sanitize.sh address
  exec bash tests/sanitize.sh thread
fi

# shellcheck source=tests/with_ccache.sh
. tests/with_ccache.sh
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)} OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
export ASAN_OPTIONS=abort_on_error=0:strict_string_checks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1
export LSAN_OPTIONS=suppressions=$PWD/tests/leak_suppressions.txt:print_suppressions=0
export TSAN_OPTIONS=second_deadlock_stack=1

case $1 in
  address)
    preset=asan targets=(all) chosen=()
    ;;
  thread)
    # Under mpirun a rank has one thread, so that there is nothing to find, and Open MPI's own threads are not built for
    # it: MpiJob and the ..._mpi tests are left out, and with them launcher/, whose tests start the command.
    # CheckpointDamage reads a thousand files on one rank, for half an hour.
    preset=tsan targets=(comm_tests runtime_tests) chosen=(-L '^(comm|runtime)$' -E '^(MpiJob|CheckpointDamage)')
    ;;
  *)
    echo "usage: sanitize.sh [address|thread]" >&2
    exit 2
    ;;
esac

cmake --preset "$preset" >/dev/null
cmake --build "build-$preset" --target "${targets[@]}"
if ctest --test-dir "build-$preset" "${chosen[@]}" --parallel "$CMAKE_BUILD_PARALLEL_LEVEL" --output-on-failure \
  --no-tests=error; then
  echo "sanitize: $1: clean"
else
  echo "sanitize: $1: failed, see above" >&2
  exit 1
fi
