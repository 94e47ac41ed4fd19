#include "comm/free_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace coe {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

/// The number behind `key` in a file of lines "key number", which may end in a unit.
std::optional<std::uint64_t> number_in(const fs::path& path, const std::string& key) {
  std::ifstream file(path);
  std::string word, rest;
  while (file >> word) {
    std::uint64_t number = 0;
    if (word == key && file >> number) return number;
    std::getline(file, rest);
  }
  return std::nullopt;
}

/// The file's only word, where it is a number: "max" is none.
std::optional<std::uint64_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  return file >> number ? std::optional(number) : std::nullopt;
}

/// What one version of control groups calls things.
struct Names {
  const char *mount, *limit, *usage, *reclaimable;
};
constexpr Names kFirst{"sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
constexpr Names kSecond{"sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"};

std::uint64_t left_in_group(const fs::path& folder, const Names& names) {
  const auto limit = number_in(folder / names.limit), usage = number_in(folder / names.usage);
  if (!limit || !usage) return kNoLimit;
  const std::uint64_t files = number_in(folder / "memory.stat", names.reclaimable).value_or(0);
  const std::uint64_t used = *usage - std::min(*usage, files);
  return *limit - std::min(*limit, used);
}

/// The least that is left in a group and those that it lies in. In a container the group's own files may lie at the
/// mount's top, whatever its path is called outside.
std::uint64_t left_in_groups(const fs::path& mount, std::string path, const Names& names) {
  std::uint64_t left = left_in_group(mount, names);
  while (path.size() > 1) {
    left = std::min(left, left_in_group(mount / path.substr(1), names));
    path.erase(path.rfind('/'));
  }
  return left;
}

}  // namespace

std::uint64_t free_memory(const fs::path& root) {
  constexpr std::uint64_t kKilo = 1024;
  const fs::path machine = root / "proc/meminfo";
  const auto available = number_in(machine, "MemAvailable:");
  std::uint64_t left = available ? (*available + number_in(machine, "SwapFree:").value_or(0)) * kKilo : kNoLimit;
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // "4:memory:/path", "0::/path"
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
    if (controllers == "memory") left = std::min(left, left_in_groups(root / kFirst.mount, path, kFirst));
    if (controllers.empty()) left = std::min(left, left_in_groups(root / kSecond.mount, path, kSecond));
  }
  return left;
}

}  // namespace coe
