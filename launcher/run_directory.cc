#include "launcher/run_directory.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <system_error>

#include "kernels/memory/error.h"

namespace coe {
namespace {

namespace fs = std::filesystem;

/// `path`, or the nearest folder above it that exists.
fs::path nearest_existing(const fs::path& path) {
  fs::path nearest = fs::absolute(path).lexically_normal();
  std::error_code ignored;
  while (!fs::exists(nearest, ignored) && nearest != nearest.root_path()) nearest = nearest.parent_path();
  return nearest;
}

}  // namespace

bool RunDirectory::holds_run() const {
  return fs::exists(config()) || fs::exists(metrics()) || fs::exists(checkpoints());
}

std::optional<fs::path> run_of(const fs::path& place) {
  const fs::path whole = fs::absolute(place / "").lexically_normal().parent_path();
  for (const fs::path& root : {whole, whole.parent_path().parent_path()}) {
    if (fs::exists(RunDirectory{root}.config())) return root;
  }
  return std::nullopt;
}

void check_writable_folder(const fs::path& folder, std::string_view asked) {
  const fs::path nearest = nearest_existing(folder);
  check(fs::is_directory(nearest), asked, ": ", folder.string(), " cannot be made: ", nearest.string(),
        " is no folder");
  // What permissions promise, a read-only or virtual file system need not keep: make something.
  // Another rank may do so at the same time, on another host with the same number as process.
  std::string probe = (nearest / ".coe_probe_XXXXXX").string();
  const bool made = mkdtemp(probe.data()) != nullptr;
  const int error = errno;
  check(made, asked, ": ", folder.string(), " cannot be written: ", nearest.string(), ": ", std::strerror(error));
  std::error_code ignored;
  fs::remove(probe, ignored);
}

void check_run_directory(const RunDirectory& directory, bool resume) {
  const std::string name = directory.root.string();
  check(!name.empty(), "output.directory is empty; it must name a folder (--out DIR)");
  check_writable_folder(directory.root, "output.directory");
  check(resume || !directory.holds_run(), "output.directory: ", name,
        " holds a run already; go on with --resume, or name another folder with --out");
}

}  // namespace coe
