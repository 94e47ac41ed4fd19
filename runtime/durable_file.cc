#include "runtime/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "kernels/error.h"

namespace coe {

struct DurableFile::Checksum {
  XXH64_state_t state;
};

FileDigest digest_of(std::span<const std::byte> bytes) { return {bytes.size(), XXH64(bytes.data(), bytes.size(), 0)}; }

DurableFile::DurableFile(std::filesystem::path place)
    : place_(std::move(place)), beside_(place_), checksum_(std::make_unique<Checksum>()) {
  beside_ += ".tmp";
  XXH64_reset(&checksum_->state, 0);
  descriptor_ = open(beside_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) refuse();
}

DurableFile::~DurableFile() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  unlink(beside_.c_str());
}

void DurableFile::refuse() const {
  fail(ErrorCode::kSystem, place_.string(), ": cannot be written: ", std::strerror(errno));
}

void DurableFile::write(std::span<const std::byte> bytes) {
  XXH64_update(&checksum_->state, bytes.data(), bytes.size());
  bytes_ += bytes.size();
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) refuse();
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void DurableFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

FileDigest DurableFile::commit() {
  if (fsync(descriptor_) != 0) refuse();
  if (rename(beside_.c_str(), place_.c_str()) != 0) refuse();
  close(std::exchange(descriptor_, -1));
  return {bytes_, XXH64_digest(&checksum_->state)};
}

void sync_directory(const std::filesystem::path& directory) {
  const int descriptor = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = descriptor >= 0 && fsync(descriptor) == 0;
  const int problem = errno;
  if (descriptor >= 0) close(descriptor);
  if (!synced) fail(ErrorCode::kSystem, directory.string(), ": cannot be written: ", std::strerror(problem));
}

}  // namespace coe
