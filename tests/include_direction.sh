#!/usr/bin/env bash
# Fails where a file includes from a folder that it must not know: include_direction.sh ROOT
#   launcher, examples, tests -> runtime -> comm -> kernels; comm uses of kernels only error, device, buffer, stream, tensor.
set -euo pipefail
cd "${1:-.}"
failed=0

# forbid FOLDER REGEX SENTENCE: no file of FOLDER includes what matches REGEX.
forbid() {
  local hits
  hits=$(grep -rnE --include='*.h' --include='*.cc' --include='*.cu' --include='*.cuh' "^[[:space:]]*#[[:space:]]*include[[:space:]]*[\"<]$2" "$1" || true)
  if [ -n "$hits" ]; then
    printf '%s\n' "$hits" >&2
    echo "include_direction: $3" >&2
    failed=1
  fi
}

above='(launcher|examples|tests)/'
forbid kernels "(comm|runtime)/|$above" "kernels/ includes only kernels/"
forbid comm "runtime/|$above" "comm/ includes only comm/ and kernels/"
forbid runtime "$above" "runtime/ includes only runtime/, comm/ and kernels/"
forbid launcher "(examples|tests)/" "launcher/ includes only launcher/, runtime/, comm/ and kernels/"
forbid examples "(launcher|tests)/" "examples/ include only runtime/, comm/ and kernels/"
verbs=$(find kernels -name '*.h' -printf '%f\n' | grep -vxE '(error|device|buffer|stream|tensor)\.h' | sed 's/\.h$//' | paste -sd '|')
forbid comm "kernels/($verbs)\.h" "comm/ uses of kernels/ only error, device, buffer, stream and tensor"
for folder in kernels comm runtime launcher examples; do
  forbid "$folder" '\.\.?/' "includes start at the root of the project"
done
exit $failed
