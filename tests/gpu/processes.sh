#!/usr/bin/env bash
# Processes that share a GPU under mpirun, each with memory that the others map, do what threads do:
#   bash tests/gpu/processes.sh COE [CASE...]      COE: the command, or tests/emulated_coe of a CUDA build
# layer and model cases pass at 1, 2 and 4 processes with the digests of threads; training takes the same losses; after
# kill -9 of one rank the others end, and name it. The same of processes whose hosts have names of their own, which
# send one another messages (as root alone). COE_DEVICES=nccl does it by NCCL instead, where it lets ranks share a GPU.
set -euo pipefail
coe=$(realpath "${1:?usage: processes.sh COE [CASE...]}")
shift
command -v mpirun >/dev/null || { echo "skipped: no mpirun"; exit 77; }
root=$(cd "$(dirname "$0")/../.." && pwd)
cases=("$@")
((${#cases[@]})) || cases=("$root"/tests/cases/*.safetensors)
if [ "$(id -u)" = 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 PRTE_ALLOW_RUN_AS_ROOT=1 PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# Open MPI's transport over shared memory has another name since 5.
case $(mpirun --version) in *"Open MPI) "[1-4].*) btl=vader ;; *) btl=sm ;; esac
launch=(mpirun --oversubscribe --mca pml ob1 --mca btl "self,${COE_BTL:-$btl}" -np)
devices=${COE_DEVICES:-mapped}
[ "$devices" = nccl ] && export NCCL_MULTI_RANK_GPU_ENABLE=1
work=$(mktemp -d) job=
trap '[ -z "$job" ] || kill -KILL "$job" 2>/dev/null || true; rm -rf "$work"' EXIT

die() { echo "processes: $*" >&2; exit 1; }
digests() { sed -E 's/max_error.*digest/digest/' "$1"; }

"$coe" verify --device cuda --tolerance 1e-4 "${cases[@]}" >"$work/one"
for ranks in 1 2 4; do
  "${launch[@]}" "$ranks" "$coe" verify --device cuda --devices "$devices" --tolerance 1e-4 "${cases[@]}" \
    >"$work/$ranks"
  diff <(digests "$work/one") <(digests "$work/$ranks") || die "$ranks processes have other digests than a thread"
done
echo "processes: ${#cases[@]} cases have one digest at 1, 2 and 4 processes ($devices) and on threads"

# On a host of its own, as far as the program can see.
cat >"$work/apart" <<'SH'
#!/usr/bin/env bash
exec unshare --uts bash -c 'hostname "host$OMPI_COMM_WORLD_RANK"; exec "$@"' apart "$@"
SH
chmod +x "$work/apart"
by_message=(mpirun --oversubscribe --mca pml ob1 --mca btl "self,tcp" --mca btl_tcp_if_include lo -np)
can_be_apart() { [ "$devices" = mapped ] && [ "$(id -u)" = 0 ] && unshare --uts true 2>/dev/null; }
if can_be_apart; then
  for ranks in 2 3; do
    "${by_message[@]}" "$ranks" "$work/apart" "$coe" verify --device cuda --devices host --tolerance 1e-4 "${cases[@]}" \
      >"$work/$ranks"
    diff <(digests "$work/one") <(digests "$work/$ranks") || die "$ranks processes by message have other digests"
  done
  echo "processes: they have the same digest at 2 and 3 processes that send messages"
elif [ "$devices" = mapped ]; then
  echo "processes: only root can give processes host names of their own, so none send messages"
fi

cat >"$work/config.toml" <<TOML
model = { hidden = 16, layers = 2, heads = 2, sequence = 32 }
layer = { expert_hidden = 8, experts = 8, top_k = 2, iterations = 2 }
training = { steps = 5, batch = 8, device = "cuda" }
validation = { every = 0, sequences = 4 }
distributed = { deadline_seconds = 20 }
exchange = { devices = "$devices" }
TOML
cd "$work"
losses() { sed -nE 's/.*"loss":([0-9.]+).*/\1/p' "$1/metrics.jsonl"; }
"$coe" train config.toml --out alone >/dev/null
same_losses() {
  paste <(losses alone) <(losses "$1") |
    awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-4 * $1) bad = 1; n++ } END { exit bad || n != 5 }' ||
    die "$1 has other losses than one process: $(losses "$1" | tr '\n' ' ')"
}
for ranks in 2 4; do
  "${launch[@]}" "$ranks" "$coe" train config.toml --out "by$ranks" >/dev/null
  same_losses "by$ranks"
done
"${launch[@]}" 4 "$coe" train config.toml --out replicas --set distributed.expert_parallel=2 >/dev/null
same_losses replicas
"${launch[@]}" 4 "$coe" train config.toml --out pieces --set distributed.expert_parallel=2 \
  --set training.shard_optimiser=true >/dev/null
diff <(losses replicas) <(losses pieces) || die "with training.shard_optimiser 4 processes have other losses"
if can_be_apart; then
  "${by_message[@]}" 3 "$work/apart" "$coe" train config.toml --out apart3 --set exchange.devices=host >/dev/null
  same_losses apart3
fi
echo "processes: 2 and 4 processes, and 2 replicas of 2, train as one does, with state in pieces bit for bit"

"${launch[@]}" 2 "$coe" train config.toml --out killed --set training.steps=1000000 >out 2>err &
job=$!
for _ in $(seq 600); do [ -s killed/metrics.jsonl ] && [ "$(grep -c . killed/metrics.jsonl)" -gt 3 ] && break; sleep 0.1; done
mapfile -t children < <(grep -lsx "PPid:[[:space:]]*$job" /proc/[0-9]*/status)
for process in "${children[@]%/status}"; do
  tr '\0' '\n' <"$process/environ" | grep -qx 'OMPI_COMM_WORLD_RANK=1' && kill -KILL "${process##*/}" && break
done
begin=$SECONDS code=0
wait "$job" || code=$?
job=
[ "$code" != 0 ] || die "training went on without rank 1"
((SECONDS - begin < 30)) || die "the others took $((SECONDS - begin)) s to end"
grep -Eq 'rank 1\b' err || die "nobody named rank 1: $(cat err)"
echo "processes: after kill -9 of rank 1 the other ended in $((SECONDS - begin)) s and named it"
