#!/usr/bin/env bash
# Runs `coe verify` on every case of a folder and the folders in it at 1, 2, 3, 4 and 7 ranks, as threads and as processes, and checks that each
# case passes everywhere with one digest.
#   bash tests/verify_cases.sh build/launcher/coe tests/cases
set -euo pipefail
coe=${1:?usage: verify_cases.sh COE FOLDER} folder=${2:?usage: verify_cases.sh COE FOLDER}
if [ ! -d "$folder" ]; then
  echo "skipped: there is no folder $folder"
  exit 77
fi
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

mapfile -t cases < <(find "$folder/" -name '*.safetensors' | sort)

results=$(mktemp)
trap 'rm -f "$results"' EXIT
for ranks in 1 2 3 4 7; do
  "$coe" verify "${cases[@]}" --ranks "$ranks" | sed "s/^/local $ranks /" >>"$results"
  if command -v mpirun >/dev/null; then
    mpirun -q -np "$ranks" --oversubscribe --mca mpi_yield_when_idle 1 --mca btl self,vader --mca pml ob1 \
      "$coe" verify "${cases[@]}" | sed "s/^/mpi $ranks /" >>"$results"
  fi
done
awk '
  $3 != "PASS" { print "not passed: " $0; bad = 1 }
  { split($5, error, "="); if (error[2] > worst[$4]) worst[$4] = error[2]
    if (($4 in digest) && digest[$4] != $7) { print "another digest: " $0 ", before " digest[$4]; bad = 1 }
    digest[$4] = $7; runs[$4]++ }
  END { for (name in digest) printf "%-32s %2d runs  largest error %s  %s\n", name, runs[name], worst[name], digest[name]
        printf "%d cases\n", length(digest)
        exit bad || length(digest) == 0 }' "$results" | sort
exit "${PIPESTATUS[0]}"
