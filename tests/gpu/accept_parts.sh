# Sourced by accept.sh: its parts, each with an end of its own. Uses $root, $out, $log, $end, $gpu.
# shellcheck shell=bash disable=SC2154

report() { timeout 10 python3 "$root/tests/gpu/report.py" "$out"; }
# Whatever ends this run, results.json says what came before.
note() {
  printf '%s\t%s\t%s\n' "$1" "$2" "$3" | tee -a "$out/parts.tsv"
  report >/dev/null
}
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
gpu_part() {
  if [ "$gpu" = yes ]; then part "$@"; else skip "$1" "no GPU here"; fi
}
