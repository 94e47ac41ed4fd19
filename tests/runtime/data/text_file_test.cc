#include "runtime/data/text_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/bad_input.h"
#include "tests/runtime/files/temporary_file.h"

namespace coe {

namespace {

using testing::ElementsAre;

TEST(TextFileTest, GivesBytesAsTokens) {
  const TemporaryFile file(".txt", "a\nb\xc3\xa9");
  const auto text = open_text_file(file.path(), false, 256);
  ASSERT_EQ(text->size(), 5);
  std::vector<std::int32_t> tokens(4);
  text->copy(1, tokens, {});
  EXPECT_THAT(tokens, ElementsAre(10, 'b', 0xc3, 0xa9));
}

TEST(TextFileTest, RefusesAByteThatTheVocabularyLacks) {
  const TemporaryFile file(".txt", "ab\xc8");
  EXPECT_EQ(bad_input([&] { open_text_file(file.path(), false, 200); }),
            file.name() + ": byte 2 is 200, must be below model.vocab, which is 200");
  EXPECT_EQ(open_text_file(file.path(), false, 201)->size(), 3);
}

TEST(TextFileTest, RefusesAnEmptyFile) {
  const TemporaryFile file(".txt", "");
  EXPECT_EQ(bad_input([&] { open_text_file(file.path(), false, 256); }), file.name() + ": is empty");
}

TEST(TextFileTest, PassesOverAByteOrderMark) {
  const TemporaryFile file(".txt", "\xef\xbb\xbfok");
  const auto text = open_text_file(file.path(), false, 256);
  ASSERT_EQ(text->size(), 2);
  std::vector<std::int32_t> tokens(2);
  text->copy(0, tokens, {});
  EXPECT_THAT(tokens, ElementsAre('o', 'k'));
}

TEST(TextFileTest, RefusesAMarkAndNothingElse) {
  const TemporaryFile file(".txt", "\xef\xbb\xbf");
  EXPECT_EQ(bad_input([&] { open_text_file(file.path(), false, 256); }), file.name() + ": holds no text");
}

TEST(TextFileTest, NamesWhatIsNoTextUnlessItIsSaidToBe) {
  const TemporaryFile file(".txt", "\x1f\x8b\x08 and so on");
  EXPECT_THAT(bad_input([&] { open_text_file(file.path(), false, 256); }),
              testing::StartsWith(file.name() + ": is compressed by gzip, must be text"));
  EXPECT_EQ(open_text_file(file.path(), true, 256)->size(), 13);
}

TEST(TextFileTest, NamesUtf16) {
  const TemporaryFile file(".txt", std::string_view("\xff\xfeh\0i\0", 6));
  EXPECT_THAT(bad_input([&] { open_text_file(file.path(), true, 256); }),
              testing::StartsWith(file.name() + ": is UTF-16LE, must be UTF-8"));
}

TEST(TextFileTest, ChecksBytesBeyondTheBeginningWhenTheyAreRead) {
  const TemporaryFile file(".txt", "");
  std::filesystem::resize_file(file.path(), kLookedThrough + 8);  // zeros, of which the disk holds none
  std::ofstream(file.path(), std::ios::binary | std::ios::app) << '\xc8';
  const auto text = open_text_file(file.path(), false, 200);
  std::vector<std::int32_t> tokens(8);
  text->copy(kLookedThrough, tokens, {});
  EXPECT_THAT(tokens, testing::Each(0));
  EXPECT_EQ(bad_input([&] { text->copy(kLookedThrough + 1, tokens, {}); }),
            file.name() + ": byte " + std::to_string(kLookedThrough + 8) +
                " is 200, must be below model.vocab, which is 200");
}

}  // namespace

}  // namespace coe
