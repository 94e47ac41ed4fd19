# Sourced by accept.sh: what its parts run. Uses $root, $out, $coe.
# shellcheck shell=bash disable=SC2154

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

# The CPU first: what does not even start there needs no device.
cases_on_host() { "$coe" verify --ranks 3 "$root"/tests/cases/*.safetensors; }
need_mpi() {
  command -v mpirun >/dev/null || { echo "no mpirun"; return 77; }
  ldd "$coe" | grep libmpi >/dev/null || { echo "this coe has no MPI"; return 77; }
}
cases_by_processes() {
  need_mpi || return
  mpirun --oversubscribe --mca pml ob1 -np 2 "$coe" verify "$root"/tests/cases/*.safetensors
}
processes() {
  need_mpi || return
  bash "$root/tests/gpu/processes.sh" "$coe"
}
# NCCL 2.30 lets processes share a card.
nccl_processes() {
  need_mpi || return
  ldd "$coe" | grep libnccl >/dev/null || { echo "this coe has no NCCL"; return 77; }
  COE_DEVICES=nccl bash "$root/tests/gpu/processes.sh" "$coe"
}
export -f cases_on_host need_mpi cases_by_processes processes nccl_processes
export -f verify bench_layer bench_experts tests sanitize torch_layers torch_model train
