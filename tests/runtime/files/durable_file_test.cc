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
