#!/usr/bin/env bash
# Several hosts on one machine: network namespaces with names, addresses and cables of their own. What jobs over them say
# and how they end: bash tests/hosts.sh BUILD. Needs root, ip and unshare; leaves 77 as its exit code without them.
set -uo pipefail
build=$(realpath "${1:?usage: hosts.sh BUILD}")
coe=$build/launcher/coe
[ "$(id -u)" = 0 ] && command -v ip >/dev/null && command -v unshare >/dev/null || exit 77
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1

work=$(mktemp -d) job=
tag=ct$(($$ % 10000)) # names of interfaces have at most 15 letters
hosts=("${tag}a" "${tag}b" "${tag}c") switch=${tag}s
cleanup() {
  [ -z "$job" ] || kill -KILL "$job" 2>/dev/null
  for name in "${hosts[@]}" "$switch"; do
    ip netns pids "$name" 2>/dev/null | xargs -r kill -KILL 2>/dev/null
    ip netns del "$name" 2>/dev/null
    rm -rf "/etc/netns/$name"
  done
  rm -rf "$work"
}
trap cleanup EXIT

up() {
  ip netns add "$switch" 2>/dev/null || exit 77
  ip -n "$switch" link add bridge type bridge || exit 77
  ip -n "$switch" link set bridge up
  local i name names="127.0.0.1 localhost"
  for i in "${!hosts[@]}"; do names+=$'\n'"10.79.0.$((10 + i)) ${hosts[i]}"; done
  for i in "${!hosts[@]}"; do
    name=${hosts[i]}
    ip netns add "$name" && mkdir -p "/etc/netns/$name" && echo "$names" >"/etc/netns/$name/hosts"
    ip -n "$name" link set lo up
    ip link add eth0 netns "$name" type veth peer name "port$i" netns "$switch" || exit 77
    ip -n "$name" addr add "10.79.0.$((10 + i))/24" dev eth0
    ip -n "$name" link set eth0 up
    ip -n "$switch" link set "port$i" master bridge
    ip -n "$switch" link set "port$i" up
  done
}

# A launch agent in place of ssh: on HOST COMMAND...
cat >"$work/on" <<'SH'
#!/usr/bin/env bash
while [[ ${1:-} == -* ]]; do shift; done
host=$1
shift
mkdir -p "$COE_HOSTS_WORK/tmp/$host"
exec ip netns exec "$host" unshare --uts bash -c 'hostname "$0"; export TMPDIR=$COE_HOSTS_WORK/tmp/$0; eval exec "$1"' "$host" "$*"
SH
chmod +x "$work/on"
export COE_HOSTS_WORK=$work
cd "$work" || exit 1
cat >config.toml <<TOML
model = { hidden = 16, layers = 1, heads = 2, sequence = 32 }
layer = { expert_hidden = 8, experts = 12, top_k = 2, iterations = 2 }
training = { steps = 20, batch = 12 }
validation = { every = 0, sequences = 4 }
distributed = { deadline_seconds = 3 }
TOML

die() { echo "hosts: $*" >&2; tail -n 5 err.txt >&2; exit 1; }
# over RANKS-A-HOST COMMAND...: in the background, as `job`.
over() {
  local each=$1 list name
  shift
  list=$(printf "%s:$each," "${hosts[@]}")
  "$work/on" "${hosts[0]}" mpirun -q --host "${list%,}" --mca plm_rsh_agent "$work/on" --mca mpi_yield_when_idle 1 \
    --oversubscribe --bind-to none "$@" >out.txt 2>err.txt &
  job=$!
}
finish() { code=0; wait "$job" || code=$?; job=; }
has_lines() { [ "$(cat "$1" 2>/dev/null | grep -c .)" -ge "$2" ]; }
wait_until() {
  for _ in $(seq 600); do
    "$@" && return 0
    kill -0 "$job" 2>/dev/null || return 1
    sleep 0.1
  done
  return 1
}
# The process of a rank of this script's job.
process_of() {
  local process
  for process in $(pgrep -x coe); do
    tr '\0' '\n' 2>/dev/null <"/proc/$process/environ" | grep -cx "OMPI_COMM_WORLD_RANK=$1\|COE_HOSTS_WORK=$work" |
      grep -q 2 && echo "$process"
  done
}

up
[ "$("$work/on" "${hosts[1]}" hostname)" = "${hosts[1]}" ] || exit 77

over 2 "$coe" train config.toml --out plain
finish
[ "$code" = 0 ] || die "three hosts of two ranks: exit code $code"
grep -q 'share no memory' err.txt && die "ranks of one host share no memory"
echo "ok: three hosts of two ranks train"

# The stopped rank is in what the waiter lacks, with its host; no innocent one is called silent.
over 2 "$coe" train config.toml --out stopped --set training.steps=100000000
wait_until has_lines stopped/metrics.jsonl 5 || die "it does not train"
victim=$(process_of 3)
kill -STOP $victim
finish
[ "$code" != 0 ] || die "a stopped rank: exit code 0"
[ "$(grep -c '^coe: ' err.txt)" = 1 ] || die "a stopped rank: not one line"
grep '^coe: ' err.txt | grep -q "waits for ranks\? .*\<3 (${hosts[1]}, pid $victim)" || die "a stopped rank: not named"
echo "ok: $(grep '^coe: ' err.txt)"

# The cable of a host is cut: the host is named.
over 2 "$coe" train config.toml --out cut --set training.steps=100000000
wait_until has_lines cut/metrics.jsonl 5 || die "it does not train"
ip -n "$switch" link set port2 down
wait_until grep -q '^coe: ' err.txt || die "a cut cable: nothing is said"
names_lost_host() {
  grep '^coe: ' err.txt |
    grep -Eq "host ${hosts[2]} (answers: it|hangs, or the host), or the link to it, (may be|is) lost"
}
names_lost_host || die "a cut cable: the host is not named"
echo "ok: $(grep '^coe: ' err.txt)"
kill -TERM "$job"
ip -n "$switch" link set port2 up
finish

# The same where the lost host is the first to fail, which the launcher cannot hear.
over 2 "$coe" train config.toml --out unheard --set training.steps=100000000
wait_until has_lines unheard/metrics.jsonl 5 || die "it does not train"
ip -n "$switch" link set port2 down
others=$(for rank in 0 1 2 3; do process_of $rank; done)
kill -STOP $others
first_host() { tail -n 1 unheard/flight/*/failure_0.txt 2>/dev/null; }
has_failed() { [ -n "$(first_host)" ]; }
wait_until has_failed || die "a host that is not heard: it says nothing"
kill -CONT $others
[ "$(first_host)" = "${hosts[2]}" ] || die "a host that is not heard: another one speaks"
lacks_lost_host() { grep -q "^coe: .* waits for ranks\? .*(${hosts[2]}, pid" err.txt; }
wait_until lacks_lost_host || die "a host that is not heard: the others do not name it"
echo "ok: $(grep '^coe: ' err.txt)"
kill -TERM "$job"
ip -n "$switch" link set port2 up
finish

over 1 "$coe" bench exchange --workload w3 --hidden 16 --steps 1
finish
[ "$code" = 0 ] || die "bench exchange: exit code $code"
grep -q 'no copy bound' out.txt || die "bench exchange: another report"
echo "ok: bench exchange over hosts"

# An address that all hosts have.
for name in "${hosts[@]}"; do
  ip -n "$name" link add docker0 type bridge && ip -n "$name" addr add 172.17.0.1/16 dev docker0 &&
    ip -n "$name" link set docker0 up
done
over 1 "$coe" train config.toml --out clash
finish
if [ "$code" != 0 ]; then
  grep -q '^coe: .*rank [0-9]* .*btl_tcp_if_include' err.txt || die "an address in common: another line"
fi
echo "ok: an address in common: exit code $code; $(grep -m 1 '^coe: ' err.txt | cut -c1-150)"
over 1 --mca btl_tcp_if_include 10.79.0.0/24 --mca oob_tcp_if_include 10.79.0.0/24 "$coe" train config.toml --out named
finish
[ "$code" = 0 ] || die "a named network: exit code $code"
echo "ok: a named network"
