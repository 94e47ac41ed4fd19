#include "runtime/data/token_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bad_input.h"
#include "tests/runtime/files/temporary_file.h"

namespace coe {

namespace {

using testing::ElementsAre;

TEST(TokenFileTest, ReadsLittleEndianPairs) {
  const TemporaryFile file(".bin", std::string_view("\x01\x00\x00\x02\xff\xff", 6));
  const auto tokens = open_token_file(file.path(), std::nullopt, 65536);
  ASSERT_EQ(tokens->size(), 3);
  std::vector<std::int32_t> all(3), last(1);
  tokens->copy(0, all, {});
  tokens->copy(2, last, {});
  EXPECT_THAT(all, ElementsAre(1, 512, 65535));
  EXPECT_THAT(last, ElementsAre(65535));
}

TEST(TokenFileTest, RefusesHalfAToken) {
  const TemporaryFile file(".bin", "abc");
  EXPECT_EQ(bad_input([&] { open_token_file(file.path(), std::nullopt, 65536); }),
            file.name() + ": has 3 bytes, must have two for each token");
}

TEST(TokenFileTest, RefusesATokenThatTheVocabularyLacks) {
  const TemporaryFile file(".bin", std::string_view("\x01\x00\x0a\x00", 4));
  EXPECT_EQ(bad_input([&] { open_token_file(file.path(), std::nullopt, 10); }),
            file.name() + ": token 1 is 10, must be below model.vocab, which is 10");
}

/// Numbers of `bytes` bytes each, as a file holds them.
std::string written(const std::vector<std::uint32_t>& numbers, std::size_t bytes) {
  std::string text;
  for (const std::uint32_t number : numbers) {
    for (std::size_t byte = 0; byte < bytes; ++byte) text += static_cast<char>(byte < 4 ? number >> (8 * byte) : 0);
  }
  return text;
}

/// llm.c's header: 256 int32.
std::string header(std::uint32_t magic, std::uint32_t version, std::uint32_t tokens) {
  std::vector<std::uint32_t> numbers(256);
  numbers[0] = magic;
  numbers[1] = version;
  numbers[2] = tokens;
  return written(numbers, 4);
}

std::vector<std::int32_t> tokens_of(const std::string& bytes, std::optional<TokenWidth> width, std::int64_t vocab) {
  const TemporaryFile file(".bin", bytes);
  const auto array = open_token_file(file.path(), width, vocab);
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(array->size()));
  array->copy(0, tokens, {});
  return tokens;
}

/// The message, without the file's name.
std::string refusal(const std::string& bytes, std::optional<TokenWidth> width, std::int64_t vocab) {
  const std::string message = bad_input([&] { tokens_of(bytes, width, vocab); });
  return message.substr(std::min(message.size(), message.find(".bin: ") + 6));
}

std::vector<std::uint32_t> some_numbers() {
  std::vector<std::uint32_t> numbers(40);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<std::uint32_t>(1 + 1000 * i);
  return numbers;
}

TEST(TokenFileTest, ReadsTokensOf32Bits) {
  EXPECT_THAT(tokens_of(written({1, 512, 70'000}, 4), TokenWidth::k32, 128'000), ElementsAre(1, 512, 70'000));
  EXPECT_EQ(refusal("abcdef", TokenWidth::k32, 128'000), "has 6 bytes, must have four for each token");
  EXPECT_EQ(refusal(written({0, 0xffffffff}, 4), TokenWidth::k32, 128'000),
            "token 1 is 4294967295, must be below model.vocab, which is 128000");
}

TEST(TokenFileTest, ReadsTheHeadersOfLlmC) {
  const auto any = std::nullopt;
  EXPECT_THAT(tokens_of(header(20240520, 1, 3) + written({7, 8, 50'256}, 2), any, 50'257), ElementsAre(7, 8, 50'256));
  EXPECT_THAT(tokens_of(header(20240520, 1, 1) + written({9}, 2), TokenWidth::k16, 50'257), ElementsAre(9));
  EXPECT_THAT(tokens_of(header(20240801, 7, 2) + written({9, 128'000}, 4), any, 128'256), ElementsAre(9, 128'000));
}

TEST(TokenFileTest, RefusesAHeaderThatDoesNotFit) {
  const auto any = std::nullopt;
  EXPECT_EQ(refusal(header(20240520, 2, 1) + written({9}, 2), any, 10),
            "has llm.c's header 20240520 of version 2, must be 1");
  EXPECT_EQ(refusal(header(20240520, 1, 5) + written({9}, 2), any, 10), "has 1 tokens, 5 by its header");
  EXPECT_EQ(refusal(header(20240520, 1, 0), any, 10), "has 0 tokens, 0 by its header");
  EXPECT_EQ(refusal(header(20240520, 1, 1) + written({9}, 2), TokenWidth::k32, 10),
            "has tokens of 16 bits by its header, data.format must be \"tokens\" or \"auto\"");
  EXPECT_EQ(refusal(header(20240801, 7, 1) + written({9}, 4), TokenWidth::k16, 10),
            "has tokens of 32 bits by its header, data.format must be \"tokens32\" or \"auto\"");
}

TEST(TokenFileTest, RefusesAVocabularyBeyond16Bits) {
  EXPECT_EQ(refusal(written({1, 2}, 2), std::nullopt, 65'537),
            "tokens of 16 bits cannot name a model.vocab of 65537; for tokens of 32 bits say data.format = "
            "\"tokens32\"");
}

TEST(TokenFileTest, TellsTokensOfTwiceTheWidth) {
  EXPECT_EQ(refusal(written(some_numbers(), 4), std::nullopt, 50'257),
            "every other token of 16 bits is 0, as where tokens of 32 bits are read as such; say data.format = "
            "\"tokens32\"");
  EXPECT_EQ(refusal(written(some_numbers(), 8), TokenWidth::k32, 50'257),
            "every other token of 32 bits is 0, as where tokens of 64 bits are read as such; write them as 32 bits");
  EXPECT_EQ(tokens_of(written(some_numbers(), 4), TokenWidth::k32, 50'257).size(), 40U);
}

TEST(TokenFileTest, ZerosAloneAreTokens) {
  EXPECT_EQ(tokens_of(std::string(200, '\0'), std::nullopt, 10), std::vector<std::int32_t>(100, 0));
}

TEST(TokenFileTest, NamesWhatHoldsMoreThanTokens) {
  EXPECT_EQ(refusal("\x93NUMPY\1\0", std::nullopt, 10), "is a NumPy array, must be tokens and nothing else");
}

TEST(TokenFileTest, ChecksTokensBeyondTheBeginningWhenTheyAreRead) {
  const TemporaryFile file(".bin", "");
  std::filesystem::resize_file(file.path(), kLookedThrough + 8);
  std::ofstream(file.path(), std::ios::binary | std::ios::app) << written({300}, 2);
  const auto array = open_token_file(file.path(), std::nullopt, 256);
  std::vector<std::int32_t> tokens(4);
  array->copy(kLookedThrough / 2, tokens, {});
  EXPECT_THAT(tokens, testing::Each(0));
  EXPECT_EQ(bad_input([&] { array->copy(kLookedThrough / 2 + 1, tokens, {}); }),
            file.name() + ": token " + std::to_string(kLookedThrough / 2 + 4) +
                " is 300, must be below model.vocab, which is 256");
}

}  // namespace

}  // namespace coe
