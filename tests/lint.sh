#!/usr/bin/env bash
# Says which files clang-format would change, which includes point up the tree, and which Tasks hold what they must not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash launcher/install_packages.sh lint

git ls-files -z '*.cc' '*.h' '*.cu' | xargs -0 --no-run-if-empty clang-format --dry-run --Werror
bash tests/include_direction.sh .
bash tests/suspensions.sh .
echo "lint: the layout and the directions of includes are right"
