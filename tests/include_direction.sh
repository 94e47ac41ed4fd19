#!/usr/bin/env bash
# Fails where a file includes from a folder, or from a room of its own folder, that it must not know:
# include_direction.sh ROOT
#   launcher, examples, tests -> runtime -> comm -> kernels; comm knows of kernels only memory/, and no verb there.
set -euo pipefail
cd "${1:-.}"
failed=0
rooms=()

# includes PATH...: FILE:LINE:INCLUDED for every include of the files there.
includes() {
  local line='^([^:]*:[0-9]+:)[[:space:]]*#[[:space:]]*include[[:space:]]*["<]([^">]*).*'
  grep -rnHE --include='*.h' --include='*.cc' --include='*.cu' --include='*.cuh' \
    '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]' "$@" | sed -E "s/$line/\1\2/"
}

# refuse HITS SENTENCE: fails where there are hits.
refuse() {
  if [ -z "$1" ]; then return; fi
  printf '%s\n' "$1" >&2
  echo "include_direction: $2" >&2
  failed=1
}

# forbid FOLDER REGEX SENTENCE: no file of FOLDER includes what matches REGEX.
forbid() { refuse "$(includes "$1" | grep -E "^[^:]*:[0-9]+:($2)" || true)" "$3"; }

# room FOLDER/ROOM [KNOWN...]: its files include of FOLDER only this room and the known ones; "." are FOLDER's own files.
room() {
  local name=$1 folder=${1%/*} known
  rooms+=("$name")
  shift
  known="$name/"
  for other in "$@"; do
    if [ "$other" = . ]; then known+="|$folder/[^/]*\$"; else known+="|$folder/$other/"; fi
  done
  refuse "$(includes "$name" | grep -E ":[0-9]+:$folder/" | grep -vE "^[^:]*:[0-9]+:($known)" || true)" \
    "$name/ includes of $folder/ only itself${*:+ and $*}"
}

above='(launcher|examples|tests)/'
forbid kernels "(comm|runtime)/|$above" "kernels/ includes only kernels/"
forbid comm "runtime/|$above" "comm/ includes only comm/ and kernels/memory/"
refuse "$(includes comm | grep ':kernels/' | grep -v ':kernels/memory/' || true)" "comm/ uses of kernels/ only memory/"
forbid comm 'kernels/memory/(copy|random)\.' "comm/ uses no verb of kernels/"
forbid runtime "$above" "runtime/ includes only runtime/, comm/ and kernels/"
forbid launcher "(examples|tests)/" "launcher/ includes only launcher/, runtime/, comm/ and kernels/"
forbid examples "(launcher|tests)/" "examples/ include only runtime/, comm/ and kernels/"
for folder in kernels comm runtime launcher examples; do
  forbid "$folder" '\.\.?/' "includes start at the root of the project"
done

room kernels/memory
room kernels/products memory
room kernels/routing memory products
room kernels/decoder memory products

room runtime/files
room runtime/config files
room runtime/ranks files config
room runtime/data files config ranks
room runtime/routing files config ranks
room runtime/exchange files config ranks routing
room runtime/layer files config ranks routing exchange
room runtime/model files config ranks routing exchange layer
room runtime/training files config ranks data routing exchange layer model

room launcher/report .
room launcher/train . report
room launcher/verify .
room launcher/bench .
refuse "$(includes launcher/*.h launcher/*.cc | grep -E ':launcher/[^/]*/' || true)" \
  "the files at the root of launcher/ include none of its rooms"

for found in {kernels,runtime,launcher}/*/; do
  if [[ " ${rooms[*]} " != *" ${found%/} "* ]]; then refuse "$found" "a room whose place in the order nobody told"; fi
done
exit $failed
