#include "runtime/files/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "kernels/memory/error.h"

namespace coe {
namespace {

constexpr std::size_t kAtOnce = std::size_t{64} << 20;

}  // namespace

DurableFile::DurableFile(std::filesystem::path place) : place_(std::move(place)), beside_(place_) {
  beside_ += ".tmp";
  descriptor_ = open(beside_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) refuse();
}

DurableFile::~DurableFile() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  unlink(beside_.c_str());
}

void DurableFile::abandon() const {
  const int problem = errno;
  unlink(beside_.c_str());
  errno = problem;
  refuse();
}

void DurableFile::refuse() const {
  fail(ErrorCode::kSystem, place_.string(), ": cannot be written: ", std::strerror(errno));
}

void DurableFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), std::min(bytes.size(), kAtOnce));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) refuse();
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    written_ += written;
    if (written_ - begun_ >= static_cast<std::int64_t>(kAtOnce)) push();
  }
}

void DurableFile::push() {
  constexpr unsigned kWhole = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  const bool waited = begun_ == waited_ || sync_file_range(descriptor_, waited_, begun_ - waited_, kWhole) == 0;
  waited_ = begun_;
  const bool begun = sync_file_range(descriptor_, begun_, written_ - begun_, SYNC_FILE_RANGE_WRITE) == 0;
  begun_ = written_;
  // A file system that cannot do it does it all in commit().
  if ((!waited || !begun) && errno != ENOSYS && errno != EINVAL && errno != ESPIPE) refuse();
}

void DurableFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void DurableFile::commit() {
  if (fsync(descriptor_) != 0) refuse();
  if (close(std::exchange(descriptor_, -1)) != 0) abandon();
  if (rename(beside_.c_str(), place_.c_str()) != 0) abandon();
}

void sync_directory(const std::filesystem::path& directory) {
  const int descriptor = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // A folder that may be entered but not listed is somebody else's, who made it last before.
  if (descriptor < 0 && errno == EACCES) return;
  const bool synced = descriptor >= 0 && fsync(descriptor) == 0;
  const int problem = errno;
  const bool closed = descriptor >= 0 && close(descriptor) == 0;
  if (!synced || !closed)
    fail(ErrorCode::kSystem, directory.string(), ": cannot be written: ", std::strerror(synced ? errno : problem));
}

void make_durable_directory(const std::filesystem::path& directory) {
  const std::filesystem::path whole = std::filesystem::absolute(directory).lexically_normal();
  const std::filesystem::path parent = whole.parent_path();
  std::error_code error;  // what is no folder is found when it is to be made
  if (!std::filesystem::is_directory(parent, error) && parent != whole) make_durable_directory(parent);
  if (!std::filesystem::is_directory(whole, error)) std::filesystem::create_directory(whole, error);
  if (error) fail(ErrorCode::kSystem, whole.string(), ": cannot be made a folder: ", error.message());
  sync_directory(parent);
}

}  // namespace coe
