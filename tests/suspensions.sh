#!/usr/bin/env bash
# Fails where a Task names what must not live across a co_await: a scope of an Arena, a timer, a lock. What needs one is a
# function of its own that the Task calls. suspensions.sh ROOT
set -euo pipefail
cd "${1:-.}"
# shellcheck disable=SC2016  # awk's own variables
find comm runtime launcher -name '*.cc' -print0 | sort -z | xargs -0 awk '
  /^(static )?Task [A-Za-z_:]+\(/ { inside = 1 }
  inside && /(ArenaScope|PartTimer|lock_guard|unique_lock|scoped_lock|shared_lock)/ {
    print FILENAME ":" FNR ": " $0
    failed = 1
  }
  /^}/ { inside = 0 }
  END { exit failed }
' || { echo "suspensions: a Task holds what must not live across a co_await" >&2; exit 1; }
