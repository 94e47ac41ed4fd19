#include "runtime/config/toml_text.h"

#include <gtest/gtest.h>

#include <limits>

namespace coe {
namespace {

TEST(TomlText, NumbersAreAsShortAsTheyReadBack) {
  EXPECT_EQ(toml_text(0.1F), "0.1");
  EXPECT_EQ(toml_text(1e-3F), "0.001");
  EXPECT_EQ(toml_text(0.0161), "0.0161");
  EXPECT_EQ(toml_text(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(toml_text(true), "true");
}

TEST(TomlText, WordsAndTextsStandInQuotes) {
  EXPECT_EQ(toml_text(ExchangeOrder::kPartialSums), "\"partial-sums\"");
  EXPECT_EQ(toml_text(std::filesystem::path("a b")), "\"a b\"");
  EXPECT_EQ(toml_text(std::string("q\"u\\o\te\x7f")), "\"q\\\"u\\\\o\\u0009e\\u007F\"");
  EXPECT_EQ(toml_text(std::vector<std::string>{"a", ""}), "[\"a\", \"\"]");
  EXPECT_EQ(toml_text(std::vector<std::string>{}), "[]");
}

}  // namespace
}  // namespace coe
