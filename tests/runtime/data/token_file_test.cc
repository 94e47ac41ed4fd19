#include "runtime/data/token_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "tests/bad_input.h"
#include "tests/runtime/files/temporary_file.h"

namespace coe {

namespace {

using testing::ElementsAre;

TEST(TokenFileTest, ReadsLittleEndianPairs) {
  const TemporaryFile file(".bin", std::string_view("\x01\x00\x00\x02\xff\xff", 6));
  const auto tokens = open_token_file(file.path(), 65536);
  ASSERT_EQ(tokens->size(), 3);
  std::vector<std::int32_t> all(3), last(1);
  tokens->copy(0, all);
  tokens->copy(2, last);
  EXPECT_THAT(all, ElementsAre(1, 512, 65535));
  EXPECT_THAT(last, ElementsAre(65535));
}

TEST(TokenFileTest, RefusesHalfAToken) {
  const TemporaryFile file(".bin", "abc");
  EXPECT_EQ(bad_input([&] { open_token_file(file.path(), 65536); }),
            file.name() + ": has 3 bytes, must have two for each token");
}

TEST(TokenFileTest, RefusesATokenThatTheVocabularyLacks) {
  const TemporaryFile file(".bin", std::string_view("\x01\x00\x0a\x00", 4));
  EXPECT_EQ(bad_input([&] { open_token_file(file.path(), 10); }),
            file.name() + ": token 1 is 10, must be below model.vocab, which is 10");
}

}  // namespace

}  // namespace coe
