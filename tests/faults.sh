#!/usr/bin/env bash
# Hurts ranks of real jobs and checks how the jobs end. N of each kind, in this order; 0 leaves one out:
#   bash tests/faults.sh BUILD [KILLS [STOPS [PAUSES [THROWS]]]]        default: 20 10 3 all
# kill   SIGKILL of a random rank at a random moment: the job is down within 3 s, nothing of it is left, and --resume=auto
#        brings the undisturbed run's metrics bit for bit
# stop   SIGSTOP of a random rank: the others end within the deadline + 1 s in one line that names rank and phase
# pause  SIGSTOP for half the deadline: nobody minds, and the metrics are the undisturbed run's
# throw  rank 1 throws instead of its n-th post, for THROWS values of n over all of a step: one line, exit code 1
set -euo pipefail
build=$(realpath "${1:?usage: faults.sh BUILD [KILLS [STOPS [PAUSES [THROWS]]]]}")
kills=${2:-20} stops=${3:-10} pauses=${4:-3} throws=${5:-all}
ranks=4 deadline=2
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
launch=(mpirun -q --oversubscribe --mca mpi_yield_when_idle 1 --mca pml ob1 --mca btl self,vader
  --mca btl_base_warn_component_unused 0 -np "$ranks")

work=$(mktemp -d) job=
cleanup() {
  [ -z "$job" ] || kill -KILL "$job" $(pgrep -P "$job") 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
cd "$work"
cat >config.toml <<TOML
model = { hidden = 16, layers = 2, heads = 2, sequence = 32 }
layer = { expert_hidden = 8, experts = 8, top_k = 2, iterations = 2 }
training = { steps = 1500, batch = 8 }
validation = { every = 0, sequences = 4 }
distributed = { deadline_seconds = $deadline }
output = { checkpoint_every = 100 }
TOML

die() { echo "faults: $*" >&2; tail -n 5 err.txt >&2; exit 1; }
now() { date +%s%N; }
ms_since() { echo $((($(now) - $1) / 1000000)); }

# What a run's metrics say, but for times.
metrics() { sed -E 's/"(tokens_per_second|seconds)":[^,]*,//g; s/"seconds_by_part":\{[^}]*\},//' "$1/metrics.jsonl"; }
same_metrics() { cmp -s <(metrics "$1") <(metrics whole); }

start() { "${launch[@]}" "$build/launcher/coe" train config.toml --out "$1" >out.txt 2>err.txt & job=$!; }
# The job's exit code; from now on it is nobody's.
finish() { local code=0; wait "$job" || code=$?; job=; echo "$code" >code; }
started() { if [ -e "$1/metrics.jsonl" ]; then grep -c . "$1/metrics.jsonl" || true; else echo 0; fi; }
# Sets `victim` to the process of a random rank, `rank` to its number and `all` to the processes of all.
choose() {
  mapfile -t all < <(pgrep -P "$job")
  [ ${#all[@]} = "$ranks" ] || return 1
  victim=${all[RANDOM % ranks]}
  rank=$(tr '\0' '\n' <"/proc/$victim/environ" 2>/dev/null | sed -n 's/^OMPI_COMM_WORLD_RANK=//p') && [ -n "$rank" ]
}
# A process that has ended but that nobody has asked about yet (Z) is no longer one.
alive() { local stat; stat=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) && [ "${stat:0:1}" != Z ]; }
none_left() {
  local process
  for process in "${all[@]}"; do
    for _ in 1 2 3 4 5; do alive "$process" || break; sleep 0.1; done
    ! alive "$process" || die "process $process is left: $(cat "/proc/$process/stat")"
  done
}

begin=$(now)
start whole; finish
[ "$(<code)" = 0 ] || die "the undisturbed run fails"
length=$(ms_since "$begin")
echo "undisturbed: $length ms"

kill_once() {
  start "$1"
  local moment=$((RANDOM % length)) from worst_rank
  sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
  choose && kill -KILL "$victim" 2>/dev/null || { finish; return 1; }
  from=$(now)
  finish
  took=$(ms_since "$from")
  [ "$(<code)" != 0 ] || return 1  # it had done its work before
  [ "$took" -lt 3000 ] || die "kill $1: the job is down after $took ms"
  none_left
  named=no
  if grep -q "the process of rank $rank has died" err.txt; then named="by the others"
  elif [ -d "$1/flight" ] && "$build/launcher/coe" inspect "$1" | grep -q "^rank $rank was behind"; then named="by coe inspect"; fi
  echo "kill $1: rank $rank after $moment ms, at step $(started "$1"): down in $took ms, named: $named"
  "${launch[@]}" "$build/launcher/coe" train config.toml --out "$1" --resume=auto >out.txt 2>err.txt || die "kill $1: no resumption"
  same_metrics "$1" || die "kill $1: the resumed run has other metrics"
  rm -rf "$1"
}

wait_for_steps() { while [ "$(started "$1")" -lt 3 ] && [ -e "/proc/$job" ]; do sleep 0.01; done; sleep "0.$((RANDOM % 3))$((RANDOM % 10))"; }

stop_once() {
  start "$1"
  wait_for_steps "$1"
  choose || die "stop $1: the ranks are not there"
  kill -STOP "$victim"
  local from others=() process
  from=$(now)
  for process in "${all[@]}"; do [ "$process" = "$victim" ] || others+=("$process"); done
  for process in "${others[@]}"; do
    while alive "$process" && [ "$(ms_since "$from")" -lt $((deadline * 1000 + 2000)) ]; do sleep 0.01; done
  done
  took=$(ms_since "$from")
  if [ "$took" -lt $((deadline * 500)) ]; then  # they had done their work and do not miss it
    kill -CONT "$victim"
    finish
    [ "$(<code)" = 0 ] || die "stop $1: others end after $took ms, long before the deadline"
    return 1
  fi
  [ "$took" -lt $((deadline * 1000 + 1000)) ] || die "stop $1: rank $rank stopped, others end after $took ms"
  finish  # mpirun gives the stopped rank a second of grace
  none_left
  [ "$(grep -c '^coe: ' err.txt)" = 1 ] || die "stop $1: not one line"
  grep -Eq "^coe: rank [0-9]+ \\(.*, pid [0-9]+\\) waits for ranks? .*\\<$rank \\([^ ]+, pid $victim\\).* in .*; rank $rank is stopped \\(SIGSTOP\\); coe inspect $1/flight" err.txt ||
    die "stop $1: rank $rank is not named"
  "$build/launcher/coe" inspect "$1" | grep -q "^rank $rank was behind" || die "stop $1: inspect names another"
  echo "stop $1: rank $rank: others down in $took ms, the job in $(ms_since "$from") ms: $(sed -n 's/^coe: \(.*\); coe inspect.*/\1/p' err.txt)"
  rm -rf "$1"
}

pause_once() {
  start "$1"
  wait_for_steps "$1"
  choose || die "pause $1: the ranks are not there"
  kill -STOP "$victim"
  sleep "$((deadline / 2))"
  kill -CONT "$victim"
  finish
  [ "$(<code)" = 0 ] || die "pause $1: exit code $(<code)"
  same_metrics "$1" || die "pause $1: other metrics"
  [ ! -e "$1/flight" ] || die "pause $1: flight files are left"
  echo "pause $1: rank $rank: nobody minds"
  rm -rf "$1"
}

throw_at() {
  code=0
  "${launch[@]}" "$build/tests/failing_training" flight "$1" >out.txt 2>err.txt || code=$?
  [ "$code" != 0 ] || return 1
  [ "$code" = 1 ] || die "throw $1: exit code $code"
  [ "$(<err.txt)" = "coe: injected; coe inspect flight tells more" ] || die "throw $1: another message"
}

for ((done = 0, i = 0; done < kills; ++i)); do kill_once "kill-$i" && done=$((done + 1)) || rm -rf "kill-$i"; done
for ((done = 0, i = 0; done < stops; ++i)); do stop_once "stop-$i" && done=$((done + 1)) || rm -rf "stop-$i"; done
for ((i = 0; i < pauses; ++i)); do pause_once "pause-$i"; done
if [ "$throws" = all ]; then
  for ((post = 0; ; ++post)); do throw_at "$post" || break; done
  echo "throw: in each of $post posts"
else
  for ((i = 0; i < throws; ++i)); do throw_at "$((i * 13))" || break; done
  echo "throw: in $i posts"
fi
