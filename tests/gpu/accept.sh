#!/bin/bash
# bash tests/gpu/accept.sh OUT [SLICE]...: what one GPU must show, in slices that each end within 9 minutes:
# correctness, speed, training, nccl, sanitizers (default: all), authors. OUT/results.json and OUT/log say what it did.
set -u
out=$(mkdir -p "${1:?usage: accept.sh OUT [correctness|speed|training|nccl|authors|sanitizers]...}" && cd "$1" && pwd) || exit 1
shift
slices=("$@")
((${#slices[@]})) || slices=(correctness speed training nccl sanitizers)
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${COE_GPU_BUILD:-$out/build}
programs=$build/tests
coe=$build/launcher/coe
log=$out/log
end=$((SECONDS + ${COE_GPU_SECONDS:-525})) gpu=no
# Nothing that an earlier run left may speak for this one.
rm -f "$out"/{results,experts,coe,moe,torch,torch_model}.json "$out"/verify.{1,2,4,7} "$out"/*.metrics.jsonl
: >"$log"
: >"$out/parts.tsv"
export out root build coe log end gpu
export PATH=$PATH:/usr/local/cuda/bin
export CUDA_DEVICE_MAX_CONNECTIONS=32 OMP_NUM_THREADS=1 COE_TESTS_NEED_CUDA=1
if [ "$(id -u)" = 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 PRTE_ALLOW_RUN_AS_ROOT=1 PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
for file in parts build steps; do
  # shellcheck source=/dev/null
  . "$root/tests/gpu/accept_$file.sh"
done

correctness() {
  gpu_part kernels 60 "$programs/kernels_tests" tests '*Cuda*' "$programs/kernels_tests"
  gpu_part runtime 40 "$programs/runtime_tests" tests '*Cuda*:-ChainLayerCuda.*' "$programs/runtime_tests"
  gpu_part layer 40 "$programs/runtime_tests" tests 'ChainLayerCuda.*' "$programs/runtime_tests"
  gpu_part verify 60 "$coe" verify layers 1e-5
  gpu_part models 60 "$coe" verify models 1e-4
  gpu_part processes 90 "$coe" processes
  gpu_part launcher 60 "$programs/launcher_tests" tests '*Cuda*' "$programs/launcher_tests"
}
speed() {
  gpu_part experts 40 "$coe" bench_experts
  gpu_part coe 30 "$coe" bench_layer 4 2 "$out/coe.json"
  gpu_part moe 30 "$coe" bench_layer 8 1 "$out/moe.json"
  gpu_part torch 90 "$root/tests/gpu/torch_layers.py" torch_layers
}
training() {
  gpu_part train 90 "$coe" train coe authors_coe_2x4of64 200
  gpu_part torch_model 60 "$root/tests/gpu/torch_model.py" torch_model
}
nccl() {
  gpu_part nccl 120 "$coe" nccl_processes
}
# Those of the authors' runs that are wanted, for as long as there is time.
authors() {
  local run steps=${COE_GPU_STEPS:-300}
  for run in ${COE_GPU_RUNS:-moe coe300 coe48 coe8}; do
    case $run in
      moe) gpu_part train_moe 120 "$coe" train moe authors_moe_8of64 "$steps" ;;
      coe300) gpu_part train_coe 120 "$coe" train coe300 authors_coe_2x4of64 "$steps" ;;
      coe48) gpu_part train_coe48 120 "$coe" train coe48 authors_coe_2x4of64 "$steps" --set layer.experts=47 ;;
      coe8) gpu_part train_coe8 120 "$coe" train coe8 authors_coe_2x4of64 "$steps" --set layer.top_k=8 ;;
    esac
  done
}
# Racecheck of the layer's test takes minutes, and so does that of all attention; what threads of a block share is in the
# kernels.
sanitizers() {
  local kernels=$programs/kernels_tests layer=$programs/runtime_tests tool
  gpu_part racecheck 120 "$kernels" sanitize racecheck "$kernels" '*Cuda*:-*Attention*'
  gpu_part racecheck_attention 60 "$kernels" sanitize racecheck "$kernels" 'Both/AttentionCuda.IsTheCpusAtHeadsOf64/1'
  for tool in memcheck initcheck; do
    gpu_part $tool 75 "$layer" sanitize $tool "$layer" 'ChainLayerCuda.Same*'
  done
  gpu_part memcheck_kernels 60 "$kernels" \
    sanitize memcheck "$kernels" '*AttentionCuda*:*Router*Cuda*:*CrossEntropyCuda*:*EmbeddingCuda*'
}

for tool in nvcc g++ cmake ninja python3 compute-sanitizer; do command -v $tool >/dev/null || say "missing: $tool"; done
use_carried
# Programs that were built elsewhere come without a build tree.
if [ -x "$coe" ] && [ ! -e "$build/CMakeCache.txt" ]; then skip build "the programs were brought"; else
  part build "${COE_GPU_BUILD_SECONDS:-270}" "$root/CMakeLists.txt" build_all
  sed -n '/^== build/,$p' "$log" | grep '^missing: '
fi
part host 30 "$coe" cases_on_host
part host_processes 60 "$coe" cases_by_processes
timeout 30 nvidia-smi -L >"$out/gpus" 2>&1 && grep -q '^GPU ' "$out/gpus" && gpu=yes
cat "$out/gpus" >>"$log"
for slice in "${slices[@]}"; do "$slice"; done
report
