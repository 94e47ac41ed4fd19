#include "runtime/durable_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "kernels/error.h"
#include "tests/runtime/scratch_directory.h"

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
  const FileDigest digest = file.commit();
  EXPECT_EQ(read_text(scratch / "x"), "abc");
  EXPECT_EQ(digest.bytes, 3U);
  EXPECT_EQ(digest.xxh64, 0x44bc2cf5ad770999U);  // the specification's value for "abc" and seed 0
}

TEST(DurableFile, LeavesTheOldOneAndNothingBesideWithoutCommit) {
  const ScratchDirectory scratch;
  std::ofstream(scratch / "x") << "old";
  { DurableFile(scratch / "x").write("new"); }
  EXPECT_EQ(read_text(scratch / "x"), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch.path()), {}), 1);
}

TEST(DurableFile, DigestOfBytesIsTheOneOfTheFile) {
  const ScratchDirectory scratch;
  const std::string text = "some text longer than one block of thirty-two bytes";
  DurableFile file(scratch / "x");
  file.write(text);
  EXPECT_EQ(file.commit(), digest_of(std::as_bytes(std::span(text))));
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
