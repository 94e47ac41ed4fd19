#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace coe {

/// A whole file as read-only memory, paged in by the system as it is touched. Movable, not copyable.
class MappedFile {
 public:
  /// Throws kBadInput where `path` is not a regular file that can be read, or is empty.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace coe
