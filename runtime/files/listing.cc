#include "runtime/files/listing.h"

#include <system_error>

#include "kernels/memory/error.h"

namespace coe {

namespace fs = std::filesystem;

namespace {

void require_seen(const fs::path& path, const std::error_code& error) {
  const bool seen = !error || error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory;
  if (!seen) fail(ErrorCode::kSystem, path.string(), ": cannot be read: ", error.message());
}

}  // namespace

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    entries.push_back(at->path());
  require_seen(folder, error);
  return entries;
}

bool is_file(const fs::path& path) {
  std::error_code error;
  const bool there = fs::is_regular_file(path, error);
  require_seen(path, error);
  return there;
}

}  // namespace coe
