#!/usr/bin/env bash
# Installs the Debian packages that the named sets need and that are missing: install_packages.sh [build|bench|test|lint|fuzz]...
# Asks nothing, removes nothing. COE_INSTALL=no trusts that what is needed is there (other systems, modules).
set -euo pipefail

declare -A sets=(
  [build]="g++ cmake ninja-build git libopenmpi-dev openmpi-bin openssh-client libboost1.81-dev
    libboost-program-options1.81-dev libboost-json1.81-dev libtomlplusplus-dev libfmt-dev libxxhash-dev
    librandom123-dev libhwloc-dev gnuplot-nox"
  [bench]="libopenblas-serial-dev libdnnl-dev"
  [test]="libgtest-dev libgmock-dev ccache"
  [lint]="clang-format clang-tidy"
  [fuzz]="clang libclang-rt-dev"
)

say() { echo "install_packages: $*" >&2; }
die() { say "$@"; exit 1; }

wanted=()
for set in "${@:-build}"; do
  [ -n "${sets[$set]:-}" ] || die "no set of packages is called '$set'; there are: build bench test lint fuzz"
  read -r -d '' -a names <<<"${sets[$set]}" || true
  wanted+=("${names[@]}")
done

[ "${COE_INSTALL:-yes}" != no ] || exit 0
if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  die "apt-get is missing, so this system is no Debian or Ubuntu: install what matches ${wanted[*]}, then set COE_INSTALL=no"
fi

installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null | sed -n 's/^installed //p' || true)
missing=()
for name in "${wanted[@]}"; do
  grep -qxF "$name" <<<"$installed" || missing+=("$name")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=(env DEBIAN_FRONTEND=noninteractive)
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || die "neither root nor sudo: ask an administrator to install ${missing[*]}"
  # Asks for no password where there is nobody to type one.
  [ -t 0 ] || sudo -n true 2>/dev/null || die "sudo wants a password: run 'sudo apt-get install ${missing[*]}' yourself"
  as_root=(sudo env DEBIAN_FRONTEND=noninteractive)
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { "${as_root[@]}" apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >"$log" 2>&1; }
install() { apt install --no-remove --no-install-recommends "${missing[@]}"; }
update() {
  say "reading the lists of packages (apt-get update)"
  apt update || die "apt-get update failed: $(grep -m 1 '^E:' "$log" || tail -n 1 "$log")"
}

fresh_lists=no
known=$(apt-cache --names-only pkgnames 2>/dev/null | grep -xF -f <(printf '%s\n' "${missing[@]}") | sort -u | wc -l || true)
if [ "$known" -lt ${#missing[@]} ]; then
  update
  fresh_lists=yes
fi
say "installing ${missing[*]}"
if ! install; then
  # Old lists name files that the mirror has dropped.
  [ "$fresh_lists" = no ] && update && install ||
    die "apt-get install failed: $(grep -m 1 '^E:' "$log" || tail -n 1 "$log")"
fi
say "installed ${#missing[@]} packages"
