#!/usr/bin/env bash
# Runs clang-tidy over every source, or with --changed over those that differ from a branch: tidy.sh [--changed [BRANCH]]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash launcher/install_packages.sh build bench test lint
cmake -S . -B build -G Ninja >/dev/null

files() {
  if [ "${1:-}" = --changed ]; then
    git diff --name-only --diff-filter=d "$(git merge-base "${2:-main}" HEAD)" -- '*.cc'
  else
    git ls-files '*.cc'
  fi
}
# Only what this build compiles is in its list of commands (no_mpi.cc is not where MPI is).
files "$@" | while read -r file; do
  if grep -qF "\"$PWD/$file\"" build/compile_commands.json; then printf '%s\0' "$file"; fi
done | xargs -0 --no-run-if-empty -n 1 -P "$(nproc)" clang-tidy -p build --quiet --warnings-as-errors='*'
echo "tidy: nothing to report"
