#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>

#include "kernels/memory/error.h"
#include "runtime/config/config.h"
#include "tests/bad_input.h"
#include "tests/runtime/config/small_config.h"
#include "tests/runtime/files/scratch_directory.h"
#include "tests/runtime/files/temporary_file.h"

namespace coe {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
namespace fs = std::filesystem;

std::string refusal(const std::string& text, const std::vector<std::string>& settings = {}) {
  try {
    parse_config(text, "x.toml", settings);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  return "nothing was thrown";
}

std::string set_refusal(const std::string& setting) { return refusal(kSmallConfig, {setting}); }

TEST(ConfigToml, ReadsEveryKindOfValue) {
  const std::vector<std::string> settings = {"model.vocab=300",
                                             "model.rope_theta=500.5",
                                             "model.norm_eps=1e-5",
                                             "layer.router=relu",
                                             "layer.l1_coeff=1",
                                             "training.seed=7",
                                             "data.fields=[\"a\",'b']",
                                             "data.train=some/where.txt",
                                             "distributed.deadline_seconds=2",
                                             "exchange.order=partial-sums",
                                             "output.directory=\"a b\"",
                                             "layer.drop_policy=\"position\"",
                                             "layer.capacity_factor=1.25"};
  const Config config = parse_config(kSmallConfig, "x.toml", settings);
  EXPECT_EQ(config.model.vocab, 300);
  EXPECT_EQ(config.model.layers, 2);
  EXPECT_EQ(config.model.rope_theta, 500.5F);
  EXPECT_EQ(config.model.norm_eps, 1e-5F);
  EXPECT_EQ(config.model.layer.router, RouterKind::kRelu);
  EXPECT_EQ(config.model.layer.l1_coeff, 1.0F);
  EXPECT_EQ(config.model.layer.drop_policy, DropPolicy::kPosition);
  EXPECT_EQ(config.model.layer.capacity_factor, 1.25F);
  EXPECT_EQ(config.training.seed, 7U);
  EXPECT_EQ(config.training.steps, 3);
  EXPECT_THAT(config.data.fields, testing::ElementsAre("a", "b"));
  EXPECT_EQ(config.data.train, "some/where.txt");
  EXPECT_EQ(config.distributed.deadline_seconds, 2.0);
  EXPECT_EQ(config.exchange.order, ExchangeOrder::kPartialSums);
  EXPECT_EQ(config.output.directory, "a b");
  EXPECT_TRUE(parse_config(kSmallConfig, "x.toml", std::vector<std::string>{"layer.norm_topk_prob=true"})
                  .model.layer.norm_topk_prob);
}

TEST(ConfigToml, TheModelGivesItsNumbersToTheLayer) {
  const Config prenorm = parse_config(kSmallConfig, "x.toml", std::vector<std::string>{"model.norm_eps=0.5"});
  EXPECT_EQ(prenorm.model.layer.hidden, 8);
  EXPECT_EQ(prenorm.model.layer.norm_eps, 0.5F);
  EXPECT_TRUE(prenorm.model.layer.iteration_norm);
  const Config authors =
      parse_config(kSmallConfig, "x.toml", std::vector<std::string>{"model.residual_stream=authors"});
  EXPECT_FALSE(authors.model.layer.iteration_norm);
}

TEST(ConfigToml, TheLastSettingWins) {
  const Config config =
      parse_config(kSmallConfig, "x.toml", std::vector<std::string>{"training.steps=5", "training.steps=6"});
  EXPECT_EQ(config.training.steps, 6);
}

TEST(ConfigToml, ReadsBackWhatItWrites) {
  Config config = parse_config(kSmallConfig, "x.toml");
  EXPECT_EQ(parse_config(to_toml(config), "again"), config);
  config.model.rope_theta = 12345.678F;
  config.model.residual_stream = ResidualStream::kAuthors;
  config.model.layer.iteration_norm = false;
  config.model.layer.gate = GateSharing::kShared;
  config.model.layer.residual = Residual::kOuter;
  config.model.layer.balance_loss = BalanceLoss::kBatch;
  config.model.layer.balance_loss_coeff = 0.1F;
  config.model.layer.drop_policy = DropPolicy::kProbability;
  config.model.layer.capacity_factor = 0.333333;
  config.training.clip = 1.0F / 3.0F;
  config.training.adam_eps = std::numeric_limits<float>::min();
  config.training.seed = static_cast<std::uint64_t>(INT64_MAX);
  config.training.schedule = Schedule::kCosine;
  config.data.train = "quo\"te's\\back slash\x7f";
  config.data.format = DataFormat::kJsonl;
  config.data.fields = {"", "a\nb", "ü"};
  config.distributed.deadline_seconds = 0.1;
  config.exchange.order = ExchangeOrder::kPartialSums;
  EXPECT_EQ(parse_config(to_toml(config), "again"), config);
}

TEST(ConfigToml, SaysWhereTomlIsMisspelt) {
  EXPECT_THAT(refusal("[model]\nvocab = = 3\n"), StartsWith("x.toml:2: "));
  EXPECT_THAT(refusal("[model]\nvocab = 3\nvocab = 4\n"), StartsWith("x.toml:3: "));
}

TEST(ConfigToml, NamesTheNearestKeyForAnUnknownOne) {
  EXPECT_EQ(refusal("[layer]\ntopk = 3\n"), "x.toml:2: layer.topk: no such key; did you mean layer.top_k?");
  EXPECT_EQ(refusal("[training]\nsequence = 3\n"),
            "x.toml:2: training.sequence: no such key; did you mean model.sequence?");
  EXPECT_EQ(set_refusal("layer.topk=4"), "--set layer.topk=4: layer.topk: no such key; did you mean layer.top_k?");
  EXPECT_EQ(refusal("[layers]\ntop_k = 3\n"), "x.toml:1: [layers]: no such section; did you mean [layer]?");
  EXPECT_THAT(refusal("steps = 3\n"), StartsWith("x.toml:1: steps: stands in no section, must be in [model], [layer]"));
  EXPECT_THAT(refusal("layer = 3\n"), StartsWith("x.toml:1: layer: stands in no section"));
}

TEST(ConfigToml, FilesOfBeforeMaySayThatTheLayerRunsOnTheHost) {
  const std::string text = kSmallConfig, place = "top_k = 2\n";
  const auto with = [&](const std::string& line) {
    std::string changed = text;
    return changed.insert(changed.find(place) + place.size(), line);
  };
  EXPECT_EQ(parse_config(with("device = \"cpu\"\n"), "x.toml"), parse_config(text, "x.toml"));
  EXPECT_EQ(refusal(with("device = \"cuda\"\n")), "x.toml:11: layer.device: is training.device now");
  EXPECT_THAT(set_refusal("layer.device=cuda"), HasSubstr("layer.device: no such key; did you mean training.device?"));
}

TEST(ConfigToml, WhatAModelFillsInIsNoKey) {
  EXPECT_THAT(refusal("[layer]\nhidden = 3\n"), HasSubstr("layer.hidden: no such key; did you mean model.hidden?"));
  EXPECT_THAT(refusal("[layer]\niteration_norm = true\n"), HasSubstr("no such key"));
}

TEST(ConfigToml, NamesTheTypeThatAKeyMustHave) {
  EXPECT_EQ(refusal("[layer]\n\ntop_k = \"four\"\n"),
            "x.toml:3: layer.top_k: 'four', must be a whole number from 1 to layer.experts");
  EXPECT_EQ(refusal("[layer]\ntop_k = 4.0\n"),
            "x.toml:2: layer.top_k: 4.0, must be a whole number from 1 to layer.experts");
  EXPECT_EQ(refusal("[layer]\nl1_coeff = true\n"), "x.toml:2: layer.l1_coeff: true, must be a number from 0 to 10000");
  EXPECT_EQ(refusal("[layer]\nnorm_topk_prob = 1\n"), "x.toml:2: layer.norm_topk_prob: 1, must be true or false");
  EXPECT_EQ(refusal("[data]\ntrain = 1\n"), "x.toml:2: data.train: 1, must be a path in quotes");
  EXPECT_THAT(refusal("[data]\nfields = ['a', 1]\n"), HasSubstr("must be a list of names in quotes"));
  EXPECT_EQ(refusal("[training]\nseed = -1\n"),
            "x.toml:2: training.seed: -1, must be a whole number from 0 to 9223372036854775807");
  EXPECT_EQ(set_refusal("training.steps=\"many\""),
            "--set training.steps=\"many\": training.steps: 'many', must be a whole number from 1 to 1099511627776");
}

TEST(ConfigToml, NamesTheWordsThatAKeyMayHave) {
  EXPECT_EQ(refusal("[layer]\nrouter = \"relo\"\n"),
            "x.toml:2: layer.router: 'relo', must be \"softmax_topk\", \"sigmoid_topk\" or \"relu\"");
  EXPECT_EQ(refusal("[exchange]\norder = \"fast\"\n"),
            "x.toml:2: exchange.order: 'fast', must be \"exact\" or \"partial-sums\"");
  EXPECT_THAT(refusal("[layer]\nrouter = 1\n"), HasSubstr("must be \"softmax_topk\", \"sigmoid_topk\" or \"relu\""));
  EXPECT_THAT(refusal("[layer]\nrouter = ''\n"), HasSubstr("must be \"softmax_topk\", \"sigmoid_topk\" or \"relu\""));
}

TEST(ConfigToml, NumbersThatDoNotFitAreTracedToWhereTheyStand) {
  EXPECT_EQ(set_refusal("layer.top_k=6"),
            "--set layer.top_k=6: layer.top_k: 6, must be a whole number from 1 to 5 (layer.experts)");
  EXPECT_EQ(set_refusal("layer.experts=1"),
            "x.toml:10: layer.top_k: 2, must be a whole number from 1 to 1 (layer.experts)");
  EXPECT_THAT(refusal("[model]\nhidden = 8\n"), StartsWith("x.toml: model.layers: 0, must be a whole number from 1"));
}

TEST(ConfigToml, RefusesSettingsThatAreNone) {
  EXPECT_THAT(set_refusal("training.steps"), StartsWith("--set training.steps: must be section.key=value"));
  EXPECT_THAT(set_refusal("steps=3"), StartsWith("--set steps=3: must be section.key=value"));
  EXPECT_THAT(set_refusal(""), HasSubstr("must be section.key=value"));
  EXPECT_THAT(set_refusal("training.steps="), HasSubstr("must be a whole number"));
  EXPECT_THAT(set_refusal("training.steps=3\nother=4"), HasSubstr("must be a whole number"));
}

TEST(ConfigToml, RefusesFilesThatCannotBeRead) {
  EXPECT_THROW(read_config("nowhere.toml"), Error);
  EXPECT_THROW(read_config(fs::temp_directory_path()), Error);
}

TEST(ConfigToml, ReadsAFileAndNamesItInMessages) {
  const ScratchDirectory scratch;
  std::ofstream(scratch / "x.toml") << kSmallConfig;
  EXPECT_EQ(read_config(scratch / "x.toml"), parse_config(kSmallConfig, "anywhere"));
  try {
    read_config(scratch / "x.toml", std::vector<std::string>{"layer.experts=1"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), StartsWith((scratch / "x.toml").string() + ":10: layer.top_k"));
  }
}

TEST(ConfigToml, EveryFileThatTheProjectShipsIsValidAndSaysWhatItIs) {
  int read = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(COE_SOURCE_DIR) / "configs")) {
    const Config config = read_config(entry.path());
    EXPECT_EQ(config.output.directory, "runs/" + entry.path().stem().string());
    std::ifstream file(entry.path());
    std::string first, second;
    std::getline(std::getline(file, first), second);
    EXPECT_THAT(first, StartsWith("# "));
    EXPECT_THAT(second, StartsWith("# "));
    ++read;
  }
  EXPECT_EQ(read, 12);
}

TEST(ConfigToml, WhatIsLongerThanAnyConfigurationIsRefusedUnread) {
  // A key of half a million parts makes a tree so deep that taking it down uses up the stack.
  std::string deep = "[model";
  for (int part = 0; part < 500'000; ++part) deep += ".a";
  const TemporaryFile file(".toml", deep + "]\n");
  EXPECT_EQ(bad_input([&] { read_config(file.path()); }),
            file.name() + ": has 1000008 bytes, a configuration has at most 65536");
  const std::vector<std::string> setting = {"model.vocab={" + deep.substr(7) + "=1}"};
  EXPECT_THAT(bad_input([&] { parse_config(kSmallConfig, "x.toml", setting); }), testing::HasSubstr("at most 65536"));
}

TEST(ConfigToml, LettersBeyondAsciiAreForQuotes) {
  EXPECT_THAT(bad_input([] { parse_config("[model]\n\u031a = 1\n", "x.toml"); }),
              testing::HasSubstr("x.toml:2: a letter beyond ASCII or more than 256 dots outside of quotes"));
  const std::vector<std::string> settings = {"data.train=caf\u00e9.txt"};
  EXPECT_EQ(parse_config(kSmallConfig, "x.toml", settings).data.train, "caf\u00e9.txt");
}

TEST(ConfigToml, MessagesRepeatOnlyTheBeginningOfWhatIsLong) {
  EXPECT_LT(bad_input([&] { parse_config("[" + std::string(5000, 'x') + "]", "x.toml"); }).size(), 1000U);
  EXPECT_LT(bad_input([&] { parse_config("[model]\nvocab='" + std::string(5000, 'x') + "'", "x.toml"); }).size(),
            1000U);
}

}  // namespace
}  // namespace coe
