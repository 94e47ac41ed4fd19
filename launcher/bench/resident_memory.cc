#include "launcher/bench/resident_memory.h"

#include <array>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>

#include "kernels/memory/error.h"

namespace coe {
namespace {

constexpr const char* kFile = "/proc/self/smaps_rollup";
constexpr std::array<std::string_view, 2> kKinds = {"Pss_Anon:", "Pss_Shmem:"};

}  // namespace

std::int64_t resident_memory_in(const std::string& rollup) {
  std::int64_t kibibytes = 0;
  for (const std::string_view kind : kKinds) {
    const std::size_t place = rollup.find(kind);
    std::istringstream rest(rollup.substr(place == std::string::npos ? rollup.size() : place + kind.size()));
    std::int64_t value = 0;
    rest >> value;
    if (!rest) fail(ErrorCode::kSystem, "resident memory: ", kFile, " lacks ", kind, " (Linux 5.9 has it)");
    kibibytes += value;
  }
  return 1024 * kibibytes;
}

std::int64_t resident_memory() {
  std::ifstream file(kFile);
  return resident_memory_in({std::istreambuf_iterator<char>(file), {}});
}

}  // namespace coe
