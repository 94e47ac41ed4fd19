#include "runtime/data/ended_documents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/data/text_file.h"
#include "tests/runtime/files/temporary_file.h"

namespace coe {
namespace {

std::string marks_of(const TokenArray& array, std::int64_t first, std::size_t count) {
  std::vector<std::int32_t> tokens(count);
  std::vector<std::uint8_t> marks(count, 7);
  array.copy(first, tokens, marks);
  std::string digits;
  for (const std::uint8_t mark : marks) digits += static_cast<char>('0' + mark);
  return digits;
}

TEST(EndedDocuments, BeginAfterEveryEnd) {
  const TemporaryFile file(".txt", "ab|c||de");
  const auto array = with_ended_documents(open_text_file(file.path(), true, 256), '|');
  EXPECT_TRUE(array->marked());
  ASSERT_EQ(array->size(), 8);
  EXPECT_EQ(marks_of(*array, 0, 8), "10010110");
  EXPECT_EQ(marks_of(*array, 3, 4), "1011");
  EXPECT_EQ(marks_of(*array, 4, 2), "01");
  EXPECT_EQ(marks_of(*array, 1, 2), "00");
  std::vector<std::int32_t> tokens(2);
  array->copy(2, tokens, {});
  EXPECT_THAT(tokens, testing::ElementsAre('|', 'c'));
}

}  // namespace
}  // namespace coe
