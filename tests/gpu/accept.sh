#!/bin/bash
# bash tests/gpu/accept.sh OUT [SLICE]...: what one GPU must show, in slices that each end within 9 minutes:
# correctness, speed, training, sanitizers (default: all). OUT/results.json and OUT/log say what it did.
set -u
out=$(mkdir -p "${1:?usage: accept.sh OUT [correctness|speed|training|sanitizers]...}" && cd "$1" && pwd) || exit 1
shift
slices=("$@")
((${#slices[@]})) || slices=(correctness speed training sanitizers)
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${COE_GPU_BUILD:-$out/build}
coe=$build/launcher/coe
log=$out/log
end=$((SECONDS + ${COE_GPU_SECONDS:-525}))
# Nothing that an earlier run left may speak for this one.
rm -f "$out"/{results,experts,coe,moe,torch,torch_model}.json "$out"/verify.{1,2,4,7} "$out"/*.metrics.jsonl
: >"$log"
: >"$out/parts.tsv"
export PATH=$PATH:/usr/local/cuda/bin
export CUDA_DEVICE_MAX_CONNECTIONS=32 OMP_NUM_THREADS=1 COE_TESTS_NEED_CUDA=1
[ -n "${COE_GPU_CARRIED:-}" ] && export CMAKE_PREFIX_PATH=$COE_GPU_CARRIED CPATH=$COE_GPU_CARRIED/include

note() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" | tee -a "$out/parts.tsv"; }
say() { echo "$*" | tee -a "$log"; }
skip() { note "$1" "skipped: $2" 0; }

# part NAME SECONDS NEEDED COMMAND...: runs it for at most so long, and no longer than is left, where the file NEEDED is;
# 77 says that something else is missing.
part() {
  local name=$1 limit=$2 needed=$3 begin=$SECONDS left=$((end - SECONDS)) code
  shift 3
  [ -e "$needed" ] || { skip "$name" "$needed is missing"; return; }
  ((left < limit)) && limit=$left
  ((limit < 2)) && { skip "$name" "no time is left"; return; }
  echo "== $name" >>"$log"
  timeout -k 5 "$limit" bash -o pipefail -c '"$@"' part "$@" >>"$log" 2>&1
  code=$?
  case $code in
    0) note "$name" ok $((SECONDS - begin)) ;;
    77) skip "$name" "$(tail -n 1 "$log")" ;;
    124 | 137) note "$name" "ran past $limit s" $((SECONDS - begin)) ;;
    *) note "$name" "failed ($code)" $((SECONDS - begin)) ;;
  esac
}

build_all() {
  cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCOE_CUDA=ON -DCOE_MPI=OFF \
    -DCOE_CUDA_ARCHITECTURES="${COE_GPU_ARCHITECTURES:-90a}" || return
  grep -q '^CUTLASS_INCLUDE:.*NOTFOUND' "$build/CMakeCache.txt" && echo "missing: CUTLASS, so bf16 products are slow"
  cmake --build "$build" --target coe kernels_tests runtime_tests launcher_tests -- -k 0
}

# tests FILTER PROGRAM [BEFORE...]: fails where no test passes, which GoogleTest does not; BEFORE is what runs it.
tests() {
  local filter=$1 program=$2
  shift 2
  "$@" "$program" --gtest_filter="$filter" | tee "$out/tests.txt" || return
  grep -q '^\[  PASSED  \] [1-9]' "$out/tests.txt"
}
# The sanitizer itself must say that it found nothing: a program that it cannot follow may end well too.
sanitize() {
  command -v compute-sanitizer >/dev/null || { echo "no compute-sanitizer"; return 77; }
  tests "$3" "$2" compute-sanitizer --tool "$1" --error-exitcode 9 && grep -q '^========= .*SUMMARY: 0 ' "$out/tests.txt"
}

verify() {
  local cases=() file ranks
  for file in "$root"/../shared/cases/{,routers/}*.safetensors "$root"/tests/cases/*.safetensors; do
    [ -f "$file" ] || continue
    case $(basename "$file"):$1 in model-*:layers) continue ;; model-*) ;; *:models) continue ;; esac
    cases+=("$file")
  done
  for ranks in 1 2 4 7; do
    "$coe" verify --device cuda --ranks $ranks --tolerance "$2" "${cases[@]}" | tee "$out/verify.$ranks" || return
    [ "$(grep -c '^PASS .* digest=' "$out/verify.$ranks")" = ${#cases[@]} ] || return
    diff <(sed 's/max_error.*digest/digest/' "$out/verify.1") <(sed 's/max_error.*digest/digest/' "$out/verify.$ranks") \
      || return
  done
}

bench_layer() {
  "$coe" bench layer --device cuda --dtype bf16 --tokens 32768 --sequence 512 --hidden 1024 --expert-hidden 704 \
    --experts 64 --top-k "$1" --iterations "$2" --json "$3"
}
bench_experts() {
  "$coe" bench experts --device cuda --dtype bf16 --tokens 16384 --top-k 4 --hidden 2048 --expert-hidden 1408 \
    --experts 64 --json "$out/experts.json"
}
torch_layers() {
  python3 -c 'import torch' || { echo "no torch"; return 77; }
  python3 "$root/tests/gpu/torch_layers.py" "$out/experts.json" >"$out/torch.json"
}
torch_model() {
  python3 -c 'import torch' || { echo "no torch"; return 77; }
  (cd "$root/tests/gpu" && python3 torch_model.py) >"$out/torch_model.json"
}
# The authors' size on bytes of GSM8K, where it lies beside, else on built-in problems; memory as the driver sees it.
train() {
  local name=$1 data=() folder=$out/run.$1
  [ -d "$root/../shared/data/gsm8k" ] &&
    data=(--data "$root/../shared/data/gsm8k/train.jsonl" --valid "$root/../shared/data/gsm8k/test.jsonl")
  [ -d /dev/shm ] && folder=$(mktemp -d /dev/shm/coe_accept_XXXXXX)
  nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -lms 250 >"$out/$name.memory" &
  local watcher=$! code
  "$coe" train "$root/configs/$2.toml" "${data[@]}" --out "$folder" --set training.device=cuda \
    --set training.dtype=bf16 --set model.vocab=256 --set training.micro_batch=64 --set training.warmup_steps=30 \
    --set training.steps="$3" --set validation.every=100 "${@:4}"
  code=$?
  kill $watcher
  cp "$folder/metrics.jsonl" "$out/$name.metrics.jsonl"
  rm -r "$folder"
  return $code
}
export -f build_all verify bench_layer bench_experts tests sanitize torch_layers torch_model train
export out root build coe

correctness() {
  part kernels 60 "$programs/kernels_tests" tests '*Cuda*' "$programs/kernels_tests"
  part runtime 40 "$programs/runtime_tests" tests '*Cuda*:-ChainLayerCuda.*' "$programs/runtime_tests"
  part layer 40 "$programs/runtime_tests" tests 'ChainLayerCuda.*' "$programs/runtime_tests"
  part verify 60 "$coe" verify layers 1e-5
  part models 60 "$coe" verify models 1e-4
  part launcher 60 "$programs/launcher_tests" tests '*Cuda*' "$programs/launcher_tests"
}
speed() {
  part experts 40 "$coe" bench_experts
  part coe 30 "$coe" bench_layer 4 2 "$out/coe.json"
  part moe 30 "$coe" bench_layer 8 1 "$out/moe.json"
  part torch 90 "$root/tests/gpu/torch_layers.py" torch_layers
}
training() {
  part train 90 "$coe" train coe authors_coe_2x4of64 200
  part torch_model 60 "$root/tests/gpu/torch_model.py" torch_model
}
# Those of the authors' runs that are wanted, for as long as there is time.
authors() {
  local run steps=${COE_GPU_STEPS:-300}
  for run in ${COE_GPU_RUNS:-moe coe300 coe48 coe8}; do
    case $run in
      moe) part train_moe 120 "$coe" train moe authors_moe_8of64 "$steps" ;;
      coe300) part train_coe 120 "$coe" train coe300 authors_coe_2x4of64 "$steps" ;;
      coe48) part train_coe48 120 "$coe" train coe48 authors_coe_2x4of64 "$steps" --set layer.experts=47 ;;
      coe8) part train_coe8 120 "$coe" train coe8 authors_coe_2x4of64 "$steps" --set layer.top_k=8 ;;
    esac
  done
}
sanitizers() {
  # The layer's test takes racecheck minutes; what threads of a block share is in the kernels.
  part racecheck 120 "$programs/kernels_tests" sanitize racecheck "$programs/kernels_tests" '*Cuda*'
  for tool in memcheck initcheck; do
    part $tool 75 "$programs/runtime_tests" sanitize $tool "$programs/runtime_tests" 'ChainLayerCuda.Same*'
  done
}

for tool in nvcc cmake ninja python3 compute-sanitizer; do command -v $tool >/dev/null || say "missing: $tool"; done
# Programs that were built elsewhere come without a build tree.
if [ -x "$coe" ] && [ ! -e "$build/CMakeCache.txt" ]; then skip build "the programs were brought"; else
  part build 270 "$root/CMakeLists.txt" build_all
  grep '^missing: CUTLASS' "$log"
fi
programs=$build/tests
if timeout 30 nvidia-smi -L 2>>"$log" | tee -a "$log" | grep -q '^GPU '; then
  for slice in "${slices[@]}"; do "$slice"; timeout 10 python3 "$root/tests/gpu/report.py" "$out" >/dev/null; done
else
  for name in kernels runtime layer verify models launcher experts coe moe torch train torch_model memcheck racecheck initcheck; do
    skip $name "no GPU here"
  done
fi
timeout 10 python3 "$root/tests/gpu/report.py" "$out"
