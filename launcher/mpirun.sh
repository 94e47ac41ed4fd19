#!/usr/bin/env bash
# mpirun for `coe train`, but for how it is stopped: mpirun.sh ARGUMENTS OF mpirun
# Ctrl-C, SIGTERM and SIGHUP become SIGUSR1, which mpirun passes to the ranks at once: the run ends with a checkpoint,
# however long that takes. mpirun itself would kill them after a second. A second signal ends the job as mpirun does.
set -uo pipefail
export COE_STOPS_GENTLY=1
asked=no
stop() {
  if [ "$asked" = no ]; then
    asked=yes
    kill -USR1 "$job"
  else
    kill -TERM "$job"
  fi
}
trap stop INT TERM HUP
# In a session of its own: the terminal sends Ctrl-C to all of this one.
setsid mpirun "$@" </dev/null &
job=$!
# A signal ends `wait`, not the job.
while kill -0 "$job" 2>/dev/null; do wait "$job"; done
wait "$job"
