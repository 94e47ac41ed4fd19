#include "runtime/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/bad_input.h"
#include "tests/runtime/temporary_file.h"

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

TEST(MappedFileTest, RefusesWhatIsNotAFileWithBytes) {
  const TemporaryFile empty(".txt", "");
  EXPECT_EQ(bad_input([&] { MappedFile(empty.path()); }), empty.name() + ": is empty");
  EXPECT_THAT(bad_input([&] { MappedFile(empty.name() + ".missing"); }),
              HasSubstr(".missing: cannot be read: No such file"));
  EXPECT_THAT(bad_input([&] { MappedFile(testing::TempDir()); }), HasSubstr(": is not a regular file"));
}

}  // namespace

}  // namespace coe
