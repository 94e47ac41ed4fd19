#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

namespace coe {

/// How many bytes a file holds, and their XXH64.
struct FileDigest {
  std::uint64_t bytes = 0;
  std::uint64_t xxh64 = 0;
  bool operator==(const FileDigest&) const = default;
};

FileDigest digest_of(std::span<const std::byte> bytes);

/// Writes a file beside its place ("name.tmp") and moves it there once it is on disk, so that nobody ever sees half of
/// it; without commit() nothing stays. All methods throw kSystem where the system refuses.
class DurableFile {
 public:
  explicit DurableFile(std::filesystem::path place);
  ~DurableFile();
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Flushes to the disk and renames.
  FileDigest commit();

 private:
  struct Checksum;

  [[noreturn]] void refuse() const;

  std::filesystem::path place_, beside_;
  std::unique_ptr<Checksum> checksum_;
  std::uint64_t bytes_ = 0;
  int descriptor_ = -1;
};

/// Makes what was created, renamed or removed in a directory last through a power cut. Throws kSystem.
void sync_directory(const std::filesystem::path& directory);

}  // namespace coe
