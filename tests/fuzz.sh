#!/usr/bin/env bash
# Lets libFuzzer look for inputs that break a reader's promises, so many minutes a reader: fuzz.sh [MINUTES], 1 unless
# told. One line a target; inputs that broke one stay in build/fuzz/findings. What it learns stays in build/fuzz/corpus.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash launcher/install_packages.sh build fuzz
minutes=${1:-1} build=build/fuzz

cmake -S . -B $build -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DCOE_FUZZ=ON -DCOE_MPI=OFF -DCOE_SANITIZE=address,undefined,fuzzer-no-link >/dev/null
targets=()
for source in tests/fuzz/*_fuzz.cc; do targets+=("$(basename "$source" .cc)"); done
cmake --build $build --target "${targets[@]}" fuzz_seeds >/dev/null
mkdir -p $build/findings
$build/tests/fuzz/fuzz_seeds $build/corpus tests/cases configs

# Sizes that no reader needs: a piece of memory of 64 MiB, 1 GiB in all, 10 s for one input.
fuzz() {
  local log=$build/$1.log code=0
  $build/tests/fuzz/"$1" $build/corpus/"$1" -max_total_time=$((minutes * 60)) -max_len=16384 -malloc_limit_mb=64 \
    -rss_limit_mb=1024 -timeout=10 -artifact_prefix=$build/findings/"$1"- -print_final_stats=1 >"$log" 2>&1 || code=$?
  local runs
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  printf '%-28s %12s executions  %s\n' "$1" "${runs:-?}" "$([ $code = 0 ] && echo "no crash" || echo "CRASH, see $log")"
  return $code
}

failed=0
for target in "${targets[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || failed=1; done
  fuzz "$target" &
done
while [ "$(jobs -rp | wc -l)" -gt 0 ]; do wait -n || failed=1; done
exit $failed
