#include "runtime/files/durable_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "kernels/memory/error.h"
#include "tests/runtime/files/scratch_directory.h"

namespace coe {
namespace {

std::string read_text(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(DurableFile, AppearsOnlyWithCommit) {
  const ScratchDirectory scratch;
  DurableFile file(scratch / "x");
  file.write("ab");
  file.write("c");
  EXPECT_FALSE(std::filesystem::exists(scratch / "x"));
  file.commit();
  EXPECT_EQ(read_text(scratch / "x"), "abc");
}

TEST(DurableFile, LeavesTheOldOneAndNothingBesideWithoutCommit) {
  const ScratchDirectory scratch;
  std::ofstream(scratch / "x") << "old";
  { DurableFile(scratch / "x").write("new"); }
  EXPECT_EQ(read_text(scratch / "x"), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch.path()), {}), 1);
}

TEST(DurableFile, ALongFileIsWhatWasWrittenHoweverItWasPushed) {
  const ScratchDirectory scratch;
  std::string part(std::size_t{50} << 20, 'a');
  DurableFile file(scratch / "x");
  for (const char letter : {'a', 'b', 'c', 'd'}) {
    part.front() = part.back() = letter;
    file.write(part);
  }
  file.commit();
  ASSERT_EQ(std::filesystem::file_size(scratch / "x"), 4 * part.size());
  std::ifstream written(scratch / "x", std::ios::binary);
  for (const char letter : {'a', 'b', 'c', 'd'}) {
    std::string read(part.size(), '\0');
    written.read(read.data(), static_cast<std::streamsize>(read.size()));
    part.front() = part.back() = letter;
    ASSERT_TRUE(read == part) << letter;
  }
}

TEST(DurableFile, MakesADirectoryAndThoseAboveIt) {
  const ScratchDirectory scratch;
  make_durable_directory(scratch / "a/b/c/");
  make_durable_directory(scratch / "a/b");
  EXPECT_TRUE(std::filesystem::is_directory(scratch / "a/b/c"));
  std::ofstream(scratch / "file") << "";
  EXPECT_THROW(make_durable_directory(scratch / "file"), Error);
  EXPECT_THROW(make_durable_directory(scratch / "file/x"), Error);
}

TEST(DurableFile, SaysWhichPlaceCannotBeWritten) {
  try {
    DurableFile("/proc/nowhere/x");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kSystem);
    EXPECT_EQ(std::string(error.what()), "/proc/nowhere/x: cannot be written: No such file or directory");
  }
  EXPECT_THROW(sync_directory("/proc/nowhere"), Error);
}

}  // namespace
}  // namespace coe
