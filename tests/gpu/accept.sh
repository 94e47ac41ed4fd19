#!/bin/bash
# bash tests/gpu/accept.sh OUT: what one GPU must show, within 9 minutes; OUT/results.json and OUT/log say what it did.
set -u
out=$(mkdir -p "${1:?usage: accept.sh OUT}" && cd "$1" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${COE_GPU_BUILD:-$out/build}
coe=$build/launcher/coe
log=$out/log
end=$((SECONDS + 525))
: >"$log"
: >"$out/parts.tsv"
export CUDA_DEVICE_MAX_CONNECTIONS=32 OMP_NUM_THREADS=1
[ -n "${COE_GPU_CARRIED:-}" ] && export CMAKE_PREFIX_PATH=$COE_GPU_CARRIED CPATH=$COE_GPU_CARRIED/include

note() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" | tee -a "$out/parts.tsv"; }

# part NAME SECONDS COMMAND...: runs it for at most so long, and no longer than is left; 77 means skipped.
part() {
  local name=$1 limit=$2 begin=$SECONDS left=$((end - SECONDS)) code
  shift 2
  ((left < limit)) && limit=$left
  if ((limit < 2)); then
    note "$name" skipped 0
    return 77
  fi
  echo "== $name" >>"$log"
  timeout -k 5 "$limit" "$@" >>"$log" 2>&1
  code=$?
  case $code in
    0) note "$name" ok $((SECONDS - begin)) ;;
    77) note "$name" skipped $((SECONDS - begin)) ;;
    124 | 137) note "$name" "ran past $limit s" $((SECONDS - begin)) ;;
    *) note "$name" "failed ($code)" $((SECONDS - begin)) ;;
  esac
  return $code
}
skip() { note "$1" skipped 0 && echo "== $1: skipped: $2" | tee -a "$log"; }

build_all() {
  local arch=${COE_GPU_ARCHITECTURES:-90a}
  cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCOE_CUDA=ON -DCOE_MPI=OFF \
    -DCOE_CUDA_ARCHITECTURES="$arch" && cmake --build "$build" --target coe kernels_tests comm_tests runtime_tests
}
verify() {
  local cases=() digests ranks file config
  for file in "$root"/../shared/cases/*.safetensors "$root"/tests/cases/*.safetensors; do
    [ -f "$file" ] || continue
    case $(basename "$file") in model-*) continue ;; esac
    config=$(head -c 65536 "$file" | tr -d '\\' | grep -a -o '"drop_policy": *"probability"\|"reroute_rounds": *[1-9]')
    if [ -n "$config" ]; then
      echo "left out, not done on the device: $(basename "$file")"
    else
      cases+=("$file")
    fi
  done
  for ranks in 1 2 4 7; do
    "$coe" verify --device cuda --ranks $ranks "${cases[@]}" >"$out/verify.$ranks" || return 1
    cat "$out/verify.$ranks"
  done
  digests=$(sed 's/max_error.*digest/digest/' "$out"/verify.[1247] | sort -u | wc -l)
  [ "$digests" = "$(sed 's/max_error.*digest/digest/' "$out/verify.1" | sort -u | wc -l)" ]
}
layer() { "$coe" bench layer --device cuda --dtype bf16 --tokens 32768 --sequence 512 --hidden 1024 --expert-hidden 704 \
  --experts 64 --top-k "$1" --iterations "$2" --json "$3"; }
# A filter that matches no test is a failure, which GoogleTest does not say.
tests() { "$1" --gtest_list_tests --gtest_filter="$2" | grep -q '^  ' && "$1" --gtest_filter="$2"; }
torch_parts() { python3 "$root/tests/gpu/torch_layers.py" >"$out/torch.json"; }
export -f build_all verify layer tests torch_parts
export out root build coe

for tool in nvcc cmake ninja; do command -v $tool >/dev/null || echo "missing: $tool" | tee -a "$log"; done
part build 270 bash -c build_all || echo "the build did not end well: $log"
if ! nvidia-smi >/dev/null 2>&1; then
  for name in kernels layer verify memcheck racecheck initcheck coe moe torch; do skip $name "no GPU here"; done
else
  part kernels 60 bash -c 'tests "$build/tests/kernels_tests" "*Cuda*"'
  part layer 40 bash -c 'tests "$build/tests/runtime_tests" "CudaChainLayer*"'
  part verify 60 bash -c verify
  part coe 30 bash -c 'layer 4 2 "$out/coe.json"'
  part moe 30 bash -c 'layer 8 1 "$out/moe.json"'
  if python3 -c 'import torch' 2>/dev/null; then part torch 90 bash -c torch_parts; else skip torch "no torch"; fi
  for tool in memcheck racecheck initcheck; do
    if command -v compute-sanitizer >/dev/null; then
      part $tool 50 compute-sanitizer --tool $tool --error-exitcode 9 "$build/tests/runtime_tests" \
        --gtest_filter='CudaChainLayerOnDevice.Same*'
    else
      skip $tool "no compute-sanitizer"
    fi
  done
fi
python3 "$root/tests/gpu/report.py" "$out"
