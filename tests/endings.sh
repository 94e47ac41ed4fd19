#!/usr/bin/env bash
# How runs end that are stopped, lose who reads them, or find little to share memory with; all cases, or those named:
#   bash tests/endings.sh BUILD [CASE...]
# Cases that need root, for namespaces of their own, are left out without it.
set -uo pipefail
build=$(realpath "${1:?usage: endings.sh BUILD [CASE...]}")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
shift
coe=$build/launcher/coe
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
export OMP_NUM_THREADS=1
launch=(-q --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 --mca btl_base_warn_component_unused 0 -np)

work=$(mktemp -d) job=
cleanup() {
  [ -z "$job" ] || kill -KILL "$job" $(pgrep -P "$job") 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
cd "$work" || exit 1
cat >config.toml <<TOML
model = { hidden = 16, layers = 1, heads = 2, sequence = 32 }
layer = { expert_hidden = 8, experts = 8, top_k = 2, iterations = 2 }
training = { steps = 20, batch = 8 }
validation = { every = 0, sequences = 4 }
distributed = { deadline_seconds = 10 }
TOML
endless="--set training.steps=100000000"

die() { echo "endings: $case_name: $*" >&2; tail -n 5 err.txt >&2; exit 1; }
# expect CODE WHAT: the last run's exit code.
expect() { [ "$code" = "$1" ] || die "exit code $code in place of $1: $2"; }
checkpoints() { ls "$1/checkpoints" 2>/dev/null | grep -c '^step_[0-9]*$'; }
lines() { cat "$1" 2>/dev/null | grep -c . || true; }
# wait_until SECONDS COMMAND...: until the command succeeds.
wait_until() {
  local tries=$(($1 * 20))
  shift
  until "$@"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] && kill -0 "$job" 2>/dev/null || return 1
    sleep 0.05
  done
}
has_lines() { [ "$(lines "$1")" -ge "$2" ]; }
start() { "$@" >out.txt 2>err.txt & job=$!; }
finish() { code=0; wait "$job" || code=$?; job=; }
now() { date +%s%N; }

# A signal at a run that has made some steps: a checkpoint of the last one, a line, exit code 0.
signals() {
  local signal
  for signal in TERM INT USR1 HUP; do
    rm -rf run
    # A script's background process ignores SIGINT; the program does not care.
    start "$coe" train config.toml --out run $endless
    wait_until 60 has_lines run/metrics.jsonl 5 || die "it does not train"
    kill "-$signal" "$job"
    finish
    expect 0 "SIG$signal"
    [ "$(checkpoints run)" = 1 ] || die "SIG$signal: no checkpoint"
    grep -q '^a signal asked to stop: ended after step' err.txt || die "SIG$signal: not a line"
    [ ! -e run/flight ] || die "SIG$signal: flight files are left"
  done
  start nohup "$coe" train config.toml --out nohup --set training.steps=2000
  wait_until 60 has_lines nohup/metrics.jsonl 5 || die "it does not train"
  kill -HUP "$job"
  finish
  expect 0 "nohup"
  [ "$(lines nohup/metrics.jsonl)" = 2001 ] || die "a hang-up ends a run under nohup"
}

# A signal while large data is gone through, before there is anything to keep: a line, 128 + its number, and no folder.
scan() {
  local ranks signal number from
  yes "{\"text\": \"$(printf 'word %.0s' {1..200})\", \"beside\": [$(printf '[1, 2], %.0s' {1..200})0]}" |
    head -n 150000 >large.jsonl
  sync large.jsonl  # or whoever syncs a folder waits for it
  while read -r ranks signal number; do
    set -- "$coe" train config.toml --out scan $endless --data large.jsonl --set 'data.fields=["text"]'
    [ "$ranks" = 1 ] || set -- mpirun "${launch[@]}" "$ranks" "$@"
    start "$@"
    wait_until 60 test -e scan/flight || die "it does not begin"
    from=$(now)
    kill "-$signal" "$job"
    finish
    took=$((($(now) - from) / 1000000))
    expect $((128 + number)) "SIG$signal"
    [ "$(<err.txt)" = "coe: ended by SIG$signal before the first step: nothing was begun" ] || die "SIG$signal: another line"
    [ ! -e scan ] || die "SIG$signal: the folder is left: $(find scan)"
    # Ranks end with a code that mpirun takes for a failure: it gives those that are left a second, and looks again.
    [ "$took" -lt $((ranks == 1 ? 2000 : 4000)) ] || die "SIG$signal: it took $took ms to end"
    echo "  SIG$signal in the scan on $ranks: ended after $took ms"
  done <<<"1 TERM 15
1 INT 2
1 HUP 1
2 USR1 10"
  rm large.jsonl
}

# ends_soon NAME RANKS ARGUMENTS...: a signal a second after the run has begun ends it soon, with a checkpoint.
ends_soon() {
  local name=$1 ranks=$2 from
  shift 2
  if [ "$ranks" = 1 ]; then
    start "$coe" train config.toml --out "$name" "$@"
  else
    start mpirun "${launch[@]}" "$ranks" "$coe" train config.toml --out "$name" "$@"
  fi
  wait_until 60 test -e "$name/metrics.jsonl" || die "$name: it does not begin"
  sleep 1
  from=$(now)
  if [ "$ranks" = 1 ]; then kill -TERM "$job"; else kill -USR1 "$job"; fi
  finish
  expect 0 "$name"
  took=$((($(now) - from) / 1000000))
  [ "$took" -lt 8000 ] || die "$name: it took $took ms to end"
  [ "$(checkpoints "$name")" = 1 ] || die "$name: no checkpoint"
  echo "  $name on $ranks: ended after $took ms"
}

# In the middle of a step of very many micro-batches, and of a very long validation: at its next micro-batch.
midway() {
  local ranks
  for ranks in 1 2; do
    ends_soon "step$ranks" "$ranks" --set training.batch=1048576 --set training.micro_batch=8
    [ -d "step$ranks/checkpoints/step_00000000" ] || die "the step was not given up"
    ends_soon "validation$ranks" "$ranks" $endless --set validation.sequences=4000000
  done
}

# Nobody reads what is said: training goes on.
unread() {
  "$coe" train config.toml --out full >/dev/full 2>/dev/full; code=$?
  expect 0 "full disk"
  [ "$(checkpoints full)" = 1 ] || die "full disk: no checkpoint"
  { "$coe" train config.toml --out pipe 2>&1; echo $? >code; } | head -n 1 >/dev/null
  code=$(<code)
  expect 0 "closed pipe"
  [ "$(checkpoints pipe)" = 1 ] || die "closed pipe: no checkpoint"
  "$coe" compare full >/dev/full 2>err.txt; code=$?
  expect 1 "compare on a full disk"
  [ "$(lines err.txt)" = 1 ] || die "compare on a full disk: not one line"
}

# mpirun.sh turns Ctrl-C into a checkpoint; a failure under it ends as soon as without it.
mpirun_sh() {
  start bash "$here/launcher/mpirun.sh" "${launch[@]}" 2 "$coe" train config.toml --out gentle $endless
  wait_until 60 has_lines gentle/metrics.jsonl 5 || die "it does not train"
  kill -TERM "$job"
  finish
  expect 0 "SIGTERM"
  [ "$(checkpoints gentle)" = 1 ] || die "no checkpoint"
  ! grep -q 'kill -USR1' err.txt || die "it tells what it does already"
  local from
  from=$(now)
  start bash "$here/launcher/mpirun.sh" "${launch[@]}" 2 "$coe" train config.toml --out gentle
  finish
  expect 2 "a folder that holds a run"
  took=$((($(now) - from) / 1000000))
  [ "$took" -lt 4000 ] || die "a refusal takes $took ms"
  mpirun "${launch[@]}" 2 "$coe" train config.toml --out told >out.txt 2>err.txt; code=$?
  expect 0 "mpirun"
  grep -q 'kill -USR1 to mpirun' err.txt || die "mpirun's second of grace is not told"
}

shared_left() { ls /dev/shm 2>/dev/null | grep -c coe; }

# Killed at once, at any moment: nothing of ours is left in /dev/shm or /tmp.
killed() {
  local i before
  before=$(ls -A /tmp /dev/shm | grep -c coe)
  for i in 1 2 3 4 5; do
    rm -rf killed
    start mpirun "${launch[@]}" 2 "$coe" train config.toml --out killed $endless
    sleep "0.$((i * 2 - 1))"
    kill -KILL $(pgrep -P "$job") "$job" 2>/dev/null
    finish 2>/dev/null
  done
  [ "$(ls -A /tmp /dev/shm | grep -c coe)" = "$before" ] || die "something is left"
}

# Docker's /dev/shm, and less.
small_shm() {
  [ "$(id -u)" = 0 ] || return 0
  unshare -m bash -c 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$@"' - \
    mpirun "${launch[@]}" 2 --mca btl self,tcp "$coe" train config.toml --out small --set training.batch=64 \
    >out.txt 2>err.txt; code=$?
  expect 0 "64 kB of /dev/shm"
  ! grep -q 'share no memory' err.txt || die "no memory is shared"
}

# Containers of one machine, with process namespaces of their own: a pause is no death. Open MPI's own shared memory does
# not tell processes of one number apart.
containers() {
  [ "$(id -u)" = 0 ] || return 0
  start mpirun "${launch[@]}" 2 --mca btl self,tcp unshare --pid --fork "$coe" train config.toml --out pids --set training.steps=400
  wait_until 60 has_lines pids/metrics.jsonl 5 || die "it does not train"
  local paused
  paused=$(pgrep -n -x coe)
  kill -STOP "$paused"
  sleep 0.6
  kill -CONT "$paused"
  finish
  expect 0 "process namespaces and a pause of 0.6 s"
  grep -q 'share no memory' err.txt && die "process namespaces keep memory apart"
  return 0
}

# Too little address space to map the others' windows: a line, no crash.
address_space() {
  start mpirun "${launch[@]}" 2 bash -c "ulimit -v 600000; exec '$coe' train config.toml --out limited \
    --set training.batch=4096 --set model.hidden=256 --set training.steps=1"
  finish
  case $code in
    0) ;;
    1) grep -q '^coe: .*\(cannot be mapped\|cannot be made\|cannot be had\|memory\)' err.txt || die "another line" ;;
    *) die "exit code $code" ;;
  esac
  ! grep -q 'Segmentation' err.txt || die "it crashes"
}

for case_name in "${@:-signals scan midway unread mpirun_sh killed small_shm containers address_space}"; do
  for case_name in $case_name; do
    $case_name
    echo "ok: $case_name"
  done
done
