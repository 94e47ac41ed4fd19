#include "runtime/config/config_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "kernels/memory/error.h"
#include "tests/runtime/config/small_config.h"

namespace coe {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

const KeyText& text_of(const std::vector<KeyText>& texts, const std::string& section, const std::string& name) {
  const auto named = [&](const KeyText& text) { return text.section == section && text.name == name; };
  return *std::ranges::find_if(texts, named);
}

/// The line of a printed config that gives `key` its value.
std::string line_of(const std::string& toml, const std::string& key) {
  std::istringstream lines(toml);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(key + " = ")) return line;
  return "";
}

TEST(ConfigText, EveryKeyHasAMeaningAndWhatItMayBe) {
  const std::vector<KeyText> texts = key_texts({});
  const std::vector<ConfigEntry> entries = entries_of({});
  ASSERT_EQ(texts.size(), entries.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string key = texts[i].section + "." + texts[i].name;
    EXPECT_EQ(key, entries[i].key);
    EXPECT_EQ(texts[i].value, entries[i].value) << key;
    EXPECT_GT(texts[i].meaning.size(), 12U) << key;
    EXPECT_GE(texts[i].allowed.size(), std::string("true or false").size()) << key;
  }
}

// Meanings stand in for one another only by a slip of the copying hand.
TEST(ConfigText, NoTwoKeysMeanTheSame) {
  std::vector<std::string_view> meanings;
  for (const KeyText& text : key_texts({})) meanings.push_back(text.meaning);
  std::ranges::sort(meanings);
  EXPECT_EQ(std::ranges::adjacent_find(meanings), meanings.end());
}

TEST(ConfigText, AllowedIsWhatTheTypeAndTheTableSay) {
  const std::vector<KeyText> texts = key_texts({});
  EXPECT_EQ(text_of(texts, "layer", "top_k").allowed, "a whole number from 1 to layer.experts");
  EXPECT_EQ(text_of(texts, "layer", "router_bias").allowed, "true or false");
  EXPECT_EQ(text_of(texts, "exchange", "order").allowed, "\"exact\" or \"partial-sums\"");
  EXPECT_EQ(text_of(texts, "training", "adam_eps").allowed, "a finite number above 0");
  EXPECT_EQ(text_of(texts, "data", "train").allowed, "a path in quotes");
  EXPECT_EQ(text_of(texts, "data", "fields").allowed, "a list of names in quotes, not empty");
}

// The keys without a default are those without which an empty config is refused.
TEST(ConfigText, WhatMustBeGivenHasNoDefault) {
  std::vector<std::string> needed;
  for (const KeyText& text : key_texts({}))
    if (text.standard.empty()) needed.push_back(text.section + "." + text.name);
  EXPECT_THAT(needed, ::testing::ElementsAre("model.hidden", "model.layers", "model.heads", "model.sequence",
                                             "layer.expert_hidden", "layer.experts", "layer.top_k", "training.steps",
                                             "training.batch"));
  EXPECT_NO_THROW(parse_config(kSmallConfig, "all that must be given"));
}

TEST(ConfigText, WhatIsPrintedReadsBackEqual) {
  const std::vector<std::string> settings = {"layer.drop_policy=position",       "layer.capacity_factor=1.25",
                                             "training.adam_eps=3e-9",           "data.train=\"quo\\\"te's # no\"",
                                             "data.loss_fields=['answer']",      "exchange.order=partial-sums",
                                             "training.seed=9223372036854775807"};
  for (const Config& config : {parse_config(kSmallConfig, "x.toml"), parse_config(kSmallConfig, "x.toml", settings)})
    EXPECT_EQ(parse_config(explained_toml(config), "printed"), config);
}

TEST(ConfigText, AStarMarksWhatIsNoDefault) {
  const std::string toml =
      explained_toml(parse_config(kSmallConfig, "x.toml", std::vector<std::string>{"training.clip=2"}));
  EXPECT_THAT(line_of(toml, "clip"), EndsWith("# * default 1; a finite number from 0"));
  EXPECT_THAT(line_of(toml, "beta1"), EndsWith("#   default 0.9; a number from 0 to below 1"));
  EXPECT_THAT(line_of(toml, "top_k"), EndsWith("# * must be given; a whole number from 1 to layer.experts"));
}

TEST(ConfigText, LinesFitAScreen) {
  std::istringstream lines(explained_toml({}));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 120U) << line;
}

TEST(ConfigText, AnOptionsHelpNamesItsKey) {
  EXPECT_THAT(option_help("data.train"), ::testing::StartsWith("data.train: file to train on"));
  EXPECT_THAT(option_help("distributed.threads"), Not(HasSubstr("default")));
  EXPECT_THROW(option_help("data.trian"), Error);
}

}  // namespace
}  // namespace coe
