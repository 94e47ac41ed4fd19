#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "kernels/memory/buffer.h"

namespace coe {

/// A whole file as read-only memory: read at once up to 64 MiB, which is safe from whoever shortens the file meanwhile,
/// beyond that paged in by the system as it is touched. Movable, not copyable.
class MappedFile {
 public:
  /// Throws kBadInput where `path` is no regular file, or is empty; kSystem where there is one that cannot be read, for
  /// want of permission, descriptors or memory, or since its disk fails: what it holds is not known then.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  Buffer read_;  ///< its bytes, where it is not mapped
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace coe
