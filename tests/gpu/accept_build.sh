# Sourced by accept.sh: what was carried here, and the build. Uses $root, $out, $log, $build.
# shellcheck shell=bash disable=SC2154

# COE_GPU_CARRIED is carry.sh's DIR, its carried.tar.xz, beside which nccl.tar.xz may lie, or a folder with what is in them.
# Python unpacks: it brings its own xz.
unpack_carried() {
  local pack
  rm -rf "$out/carried"
  mkdir "$out/carried"
  for pack in "$1" "$(dirname "$1")/nccl.tar.xz"; do
    [ -f "$pack" ] || continue
    python3 -m tarfile -e "$pack" "$out/carried" >>"$log" 2>&1 || say "missing: $pack, which cannot be unpacked"
  done
}
use_carried() {
  local carried=${COE_GPU_CARRIED:-} libs
  [ -n "$carried" ] || return 0
  [ -e "$carried" ] || { say "missing: $carried, which COE_GPU_CARRIED names"; return; }
  carried=$(realpath "$carried")
  [ -f "$carried/carried.tar.xz" ] && carried=$carried/carried.tar.xz
  [ -d "$carried" ] || { unpack_carried "$carried"; carried=$out/carried; }
  [ -d "$carried/include" ] || { say "missing: $carried/include"; return; }
  libs=$(echo "$carried"/lib/*-linux-gnu)
  export CMAKE_PREFIX_PATH=$carried:$libs/cmake
  export CPLUS_INCLUDE_PATH=$carried/include LIBRARY_PATH=$libs:$carried/lib
  export LD_LIBRARY_PATH=$libs:$carried/lib:$carried/openmpi/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  # Its programs find by themselves what else they need.
  [ -d "$carried/openmpi" ] && export PATH=$carried/openmpi/bin:$PATH
}

has_header() { printf '#if !__has_include(<%s>)\n#error\n#endif\n' "$1" | g++ -E -x c++ - >/dev/null 2>&1; }
# Without these there is nothing to build.
need_headers() {
  local header code=0
  for header in boost/program_options.hpp boost/json.hpp fmt/core.h toml++/toml.h xxhash.h Random123/philox.h; do
    has_header $header || { echo "missing: $header"; code=1; }
  done
  return $code
}
mpi_starts() {
  command -v mpicxx >/dev/null && command -v mpirun >/dev/null || return
  mkdir -p "$out/mpi" || return
  printf '#include <mpi.h>\nint main() { return MPI_Init(nullptr, nullptr) || MPI_Finalize(); }\n' >"$out/mpi/main.cc"
  mpicxx "$out/mpi/main.cc" -o "$out/mpi/main" && timeout 30 mpirun --oversubscribe --mca pml ob1 -np 2 "$out/mpi/main"
}

# What most depends on comes first, should the time end.
build_all() {
  local mpi=ON tests=ON code
  need_headers || return
  mpi_starts || { mpi=OFF; echo "missing: an mpicxx and mpirun that work, so ranks are threads"; }
  has_header gmock/gmock.h || { tests=OFF; echo "missing: GoogleTest, so there are no tests"; }
  cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCOE_CUDA=ON -DCOE_MPI=$mpi -DCOE_TESTS=$tests \
    -DCOE_CUDA_ARCHITECTURES="${COE_GPU_ARCHITECTURES:-90a}" || return
  grep -q '^CUTLASS_INCLUDE:.*NOTFOUND' "$build/CMakeCache.txt" && echo "missing: CUTLASS, so bf16 products are slow"
  [ $tests = ON ] || { cmake --build "$build" --target coe -- -k 0; return; }
  cmake --build "$build" --target coe kernels_tests -- -k 0
  code=$?
  cmake --build "$build" --target runtime_tests launcher_tests -- -k 0 && return $code
}
export -f has_header need_headers mpi_starts build_all
