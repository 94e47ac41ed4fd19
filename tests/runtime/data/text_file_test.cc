#include "runtime/data/text_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/bad_input.h"
#include "tests/runtime/files/temporary_file.h"

namespace coe {

namespace {

using testing::ElementsAre;

TEST(TextFileTest, GivesBytesAsTokens) {
  const TemporaryFile file(".txt", "a\nb\xc3\xa9");
  const auto text = open_text_file(file.path(), 256);
  ASSERT_EQ(text->size(), 5);
  std::vector<std::int32_t> tokens(4);
  text->copy(1, tokens);
  EXPECT_THAT(tokens, ElementsAre(10, 'b', 0xc3, 0xa9));
}

TEST(TextFileTest, RefusesAByteThatTheVocabularyLacks) {
  const TemporaryFile file(".txt", "ab\xc8");
  EXPECT_EQ(bad_input([&] { open_text_file(file.path(), 200); }),
            file.name() + ": byte 2 is 200, must be below model.vocab, which is 200");
  EXPECT_EQ(open_text_file(file.path(), 201)->size(), 3);
}

TEST(TextFileTest, RefusesAnEmptyFile) {
  const TemporaryFile file(".txt", "");
  EXPECT_EQ(bad_input([&] { open_text_file(file.path(), 256); }), file.name() + ": is empty");
}

}  // namespace

}  // namespace coe
