#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace coe {

/// Writes a file beside its place ("name.tmp") and moves it there once it is on disk, so that nobody ever sees half of
/// it; without commit() nothing stays. What is written goes to the disk soon, so that no call has much to wait for. All
/// methods throw kSystem where the system refuses.
class DurableFile {
 public:
  explicit DurableFile(std::filesystem::path place);
  ~DurableFile();
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Flushes to the disk, closes and renames.
  void commit();

 private:
  [[noreturn]] void refuse() const;
  /// Removes the closed file, then refuses.
  [[noreturn]] void abandon() const;
  /// Begins to move what was written to the disk, and waits for what was begun before.
  void push();

  std::filesystem::path place_, beside_;
  int descriptor_ = -1;
  std::int64_t waited_ = 0, begun_ = 0, written_ = 0;  ///< bytes
};

/// Makes what was created, renamed or removed in a directory last through a power cut. Throws kSystem.
void sync_directory(const std::filesystem::path& directory);

/// Makes a directory, and those above it that are missing, and makes them last. Throws kSystem.
void make_durable_directory(const std::filesystem::path& directory);

}  // namespace coe
