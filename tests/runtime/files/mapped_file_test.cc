#include "runtime/files/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/bad_input.h"
#include "tests/runtime/files/temporary_file.h"

namespace coe {

namespace {

using testing::HasSubstr;

std::string text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

TEST(MappedFileTest, HoldsTheFilesBytes) {
  const TemporaryFile file(".bin", std::string_view("ab\0c\xff", 5));
  EXPECT_EQ(text_of(MappedFile(file.path())), std::string("ab\0c\xff", 5));
}

TEST(MappedFileTest, KeepsItsBytesWhenMoved) {
  const TemporaryFile file(".txt", "first");
  const TemporaryFile other(".other", "second");
  MappedFile a(file.path());
  MappedFile b(std::move(a));
  EXPECT_EQ(text_of(b), "first");
  MappedFile c(other.path());
  c = std::move(b);
  EXPECT_EQ(text_of(c), "first");
}

TEST(MappedFileTest, KeepsTheBytesOfASmallFileThatIsShortenedMeanwhile) {
  const TemporaryFile file(".txt", "first");
  const MappedFile held(file.path());
  std::filesystem::resize_file(file.path(), 0);
  EXPECT_EQ(text_of(held), "first");
}

TEST(MappedFileTest, HoldsALargeFile) {
  const TemporaryFile file(".bin", "x");
  constexpr std::size_t kLarge = (std::size_t{64} << 20) + 1;
  std::filesystem::resize_file(file.path(), kLarge);  // a hole that takes no room
  MappedFile a(file.path());
  const MappedFile b(std::move(a));
  ASSERT_EQ(b.bytes().size(), kLarge);
  EXPECT_EQ(b.bytes().front(), std::byte{'x'});
  EXPECT_EQ(b.bytes().back(), std::byte{0});
}

TEST(MappedFileTest, RefusesWhatIsNotAFileWithBytes) {
  const TemporaryFile empty(".txt", "");
  EXPECT_EQ(bad_input([&] { MappedFile(empty.path()); }), empty.name() + ": is empty");
  EXPECT_THAT(bad_input([&] { MappedFile(empty.name() + ".missing"); }),
              HasSubstr(".missing: cannot be read: No such file"));
  EXPECT_THAT(bad_input([&] { MappedFile(testing::TempDir()); }), HasSubstr(": is not a regular file"));
}

}  // namespace

}  // namespace coe
