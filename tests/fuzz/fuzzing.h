#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "kernels/memory/error.h"
#include "tests/largest_allocation.h"

namespace coe {

/// Ends the program, which libFuzzer takes for a finding, unless `holds`.
inline void expect(bool holds, const std::string& promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise.c_str());
  std::abort();
}

/// A file in memory with a path.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : descriptor_(memfd_create("fuzz", 0)) {
    const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
    expect(std::cmp_equal(written, bytes.size()), "memory for the input");
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

/// Runs `read`, which may refuse its input by a kBadInput of one short line, and allocate pieces of at most `most`
/// bytes, or of a few KiB.
template <class Read>
void expect_read_or_refused(std::size_t most, const Read& read) {
  constexpr std::size_t kFew = 8192, kLongestLine = 2000;
  const LargestAllocation largest;
  try {
    read();
  } catch (const Error& error) {
    const std::string_view line = error.what();
    expect(error.code() == ErrorCode::kBadInput, "only bad input is found: " + std::string(line));
    expect(line.find('\n') == line.npos && line.size() < kLongestLine, "one short line: " + std::string(line));
  }
  expect(largest.bytes() <= std::max(most + 1, kFew), std::to_string(largest.bytes()) + " bytes at once");
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace coe
