#include "runtime/training/checkpoint_manifest.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/memory/error.h"
#include "runtime/files/checksum.h"
#include "tests/runtime/config/small_config.h"

namespace coe {
namespace {

using testing::HasSubstr;

CheckpointManifest example() {
  CheckpointManifest manifest;
  manifest.state = {1000, 16000, 0.1 + 0.2, UINT64_MAX, {{"train.ends", "00ff"}, {"ranks", "2"}}};
  manifest.model = model_entries(parse_config(kSmallConfig, "x.toml").model);
  manifest.shards = {{"replicated.safetensors", {INT64_MAX, UINT64_MAX, {{"a", 0}, {"b", UINT64_MAX}}}},
                     {"experts_000", {1, 2, {}}}};
  return manifest;
}

std::string refusal(const auto& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  return "nothing was thrown";
}

std::string parse_refusal(const std::string& text) {
  return refusal([&] { parse_manifest(text, "m.json"); });
}

TEST(CheckpointManifest, ReadsBackEveryBitOfWhatItWrites) {
  EXPECT_EQ(parse_manifest(manifest_text(example()), "m.json"), example());
  EXPECT_EQ(parse_shards(shards_text(example().shards)), example().shards);
}

TEST(CheckpointManifest, AModelIsItsModelAndLayerKeys) {
  const std::vector<ConfigEntry> entries = model_entries(parse_config(kSmallConfig, "x.toml").model);
  EXPECT_THAT(entries, testing::Contains(ConfigEntry{"model.hidden", "8"}));
  EXPECT_THAT(entries, testing::Contains(ConfigEntry{"layer.router", "\"softmax_topk\""}));
  EXPECT_THAT(entries, testing::Not(testing::Contains(testing::Field(&ConfigEntry::key, "training.steps"))));
}

/// The example with `from` replaced by `to` and a checksum that fits.
std::string resealed(const std::string& from, const std::string& to) {
  std::string text = manifest_text(example());
  text.replace(text.find(from), from.size(), to);
  text.resize(text.rfind(",\"checksum\""));
  return text + fmt::format(",\"checksum\":\"{:016x}\"}}\n", checksum_of(std::as_bytes(std::span(text))));
}

TEST(CheckpointManifest, RefusesWhatItsChecksumDoesNotSeal) {
  for (const std::string& text :
       {std::string(), std::string("{}"), std::string("[]"), manifest_text(example()) + " "}) {
    EXPECT_EQ(parse_refusal(text), "m.json: does not end with the checksum of its text");
    EXPECT_TRUE(is_damaged_manifest(text));
  }
  const std::string whole = manifest_text(example());
  EXPECT_FALSE(is_damaged_manifest(whole));
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string text = whole;
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << bit % 8));
    ASSERT_TRUE(is_damaged_manifest(text)) << "bit " << bit;
  }
  for (std::size_t size = 0; size < whole.size(); ++size) ASSERT_TRUE(is_damaged_manifest(whole.substr(0, size)));
}

TEST(CheckpointManifest, AnOlderFormatIsNoDamage) {
  const std::string text = R"({"format":"coe-checkpoint-1","step":4})";
  EXPECT_FALSE(is_damaged_manifest(text));
  EXPECT_EQ(parse_refusal(text), "m.json: is of a format before coe-checkpoint-2, which had no checksums");
}

TEST(CheckpointManifest, RefusesWhatIsSealedButNoManifest) {
  EXPECT_THAT(parse_refusal(resealed("coe-checkpoint-4", "coe-checkpoint-9")),
              HasSubstr(R"(m.json: "format" is "coe-checkpoint-9", must be "coe-checkpoint-4")"));
  EXPECT_THAT(parse_refusal(resealed("1000", "\"a\"")), HasSubstr(R"("step" must be a whole number from 0)"));
  EXPECT_THAT(parse_refusal(resealed("18446744073709551615", "18446744073709551616")),
              HasSubstr(R"("seed" "18446744073709551616" is not a number)"));
  EXPECT_THAT(parse_refusal(resealed("ffffffffffffffff", "fffffffffffffffg")), HasSubstr("is not a number"));
  EXPECT_THAT(parse_refusal(resealed("ffffffffffffffff", "FFFFFFFFFFFFFFFF")), HasSubstr("is not a checksum"));
  EXPECT_THAT(parse_refusal(resealed("\"seed\"", "\"sead\"")), HasSubstr("m.json: has no seed"));
  EXPECT_THAT(parse_refusal(resealed("\"file\"", "\"fill\"")), HasSubstr("m.json: has a shard without a file"));
  EXPECT_THAT(parse_refusal(resealed("\"seed\"", "\"step\"")), HasSubstr(R"("step" stands twice)"));
}

TEST(CheckpointManifest, RefusesShardsElsewhere) {
  for (const std::string place : {"../secrets", "/etc/passwd", "..", "."}) {
    EXPECT_THAT(parse_refusal(resealed("experts_000", place)), HasSubstr("must be a plain file name"));
  }
}

/// What a version before would have written: another format, and nothing of the run.
std::string as_format_2(const CheckpointManifest& manifest) {
  std::string text = manifest_text(manifest);
  text.replace(text.find("coe-checkpoint-4"), 16, "coe-checkpoint-2");
  const std::size_t run = text.find(",\"run\":{"), end = text.find('}', run);
  text.erase(run, end + 1 - run);
  text.resize(text.rfind(",\"checksum\""));
  return text + fmt::format(",\"checksum\":\"{:016x}\"}}\n", checksum_of(std::as_bytes(std::span(text))));
}

TEST(CheckpointManifest, TheFormatBeforeIsReadWithoutItsRun) {
  CheckpointManifest expected = example();
  expected.state.run.clear();
  EXPECT_EQ(parse_manifest(as_format_2(example()), "m.json"), expected);
}

/// Beside norm_topk_prob a factor had no effect then, and has one now.
TEST(CheckpointManifest, TheFormatBeforeMeansItsFactorAsItWasComputed) {
  const auto factor_of = [](const std::string& norm) {
    CheckpointManifest manifest = example();
    for (ConfigEntry& entry : manifest.model) {
      if (entry.key == "layer.norm_topk_prob") entry.value = norm;
      if (entry.key == "layer.routed_scaling_factor") entry.value = "2.5";
    }
    EXPECT_EQ(*find_fact(parse_manifest(manifest_text(manifest), "m").model, "layer.routed_scaling_factor"), "2.5");
    return *find_fact(parse_manifest(as_format_2(manifest), "m").model, "layer.routed_scaling_factor");
  };
  EXPECT_EQ(factor_of("true"), "1");
  EXPECT_EQ(factor_of("false"), "2.5");
}

TEST(CheckpointManifest, ThisFormatHasARun) {
  EXPECT_THAT(parse_refusal(resealed("\"run\"", "\"ruin\"")), HasSubstr("m.json: has no run"));
}

std::string weights_refusal(const CheckpointManifest& manifest, const ModelConfig& model) {
  return refusal([&] { require_same_weights(manifest, model, "dir"); });
}

TEST(CheckpointManifest, AnotherShapeOrMeaningOfWeightsIsAnotherModel) {
  const ModelConfig model = parse_config(kSmallConfig, "x.toml").model;
  EXPECT_THAT(require_same_weights(example(), model, "dir"), testing::IsEmpty());
  const auto other = [&](auto change) {
    ModelConfig changed = model;
    change(changed);
    return weights_refusal(example(), changed);
  };
  EXPECT_EQ(other([](ModelConfig& changed) { changed.layer.top_k = 3; }),
            "dir: is of another model: layer.top_k is 2 there, must be 3");
  EXPECT_THAT(other([](ModelConfig& changed) { changed.hidden = 16; }), HasSubstr("model.hidden"));
  EXPECT_THAT(other([](ModelConfig& changed) { changed.rope_theta = 5e5F; }), HasSubstr("model.rope_theta"));
  EXPECT_THAT(other([](ModelConfig& changed) { changed.layer.router_noise = true; }), HasSubstr("router_noise"));
}

TEST(CheckpointManifest, HowAModelIsTrainedAndJudgedMayChange) {
  ModelConfig model = parse_config(kSmallConfig, "x.toml").model;
  model.sequence = 8;
  model.layer.router_jitter = 0.5F;
  model.layer.balance_loss = BalanceLoss::kBatch;
  model.layer.balance_loss_coeff = 0.25F;
  model.layer.z_loss_coeff = 0.125F;
  model.layer.drop_policy = DropPolicy::kPosition;
  model.layer.capacity_factor = 1.5;
  std::vector<std::string> texts;
  for (const FactChange& change : require_same_weights(example(), model, "dir")) texts.push_back(change.text());
  EXPECT_THAT(texts, testing::UnorderedElementsAre(
                         "model.sequence 8 (was 4)", "layer.router_jitter 0.5 (was 0)",
                         R"(layer.balance_loss "batch" (was "none"))", "layer.balance_loss_coeff 0.25 (was 0)",
                         "layer.z_loss_coeff 0.125 (was 0)", R"(layer.drop_policy "position" (was "none"))",
                         "layer.capacity_factor 1.5 (was 0)"));
}

TEST(CheckpointManifest, KeysThatCameLaterHadTheirDefaults) {
  const ModelConfig model = parse_config(kSmallConfig, "x.toml").model;
  CheckpointManifest older = example();
  std::erase_if(older.model, [](const ConfigEntry& entry) { return entry.key == "layer.groups"; });
  EXPECT_THAT(require_same_weights(older, model, "dir"), testing::IsEmpty());
  std::erase_if(older.model, [](const ConfigEntry& entry) { return entry.key == "model.hidden"; });
  EXPECT_EQ(weights_refusal(older, model), "dir: is of another model: model.hidden is 0 there, must be 8");
}

TEST(CheckpointManifest, KeysOfALaterVersionAreAnotherModel) {
  CheckpointManifest later = example();
  later.model.push_back({"layer.telepathy", "true"});
  EXPECT_EQ(weights_refusal(later, parse_config(kSmallConfig, "x.toml").model),
            "dir: is of another model: layer.telepathy is true there, and unknown here");
}

TEST(CheckpointManifest, WhereALayerRanIsNoKeyOfTheModelAnyMore) {
  CheckpointManifest older = example();
  older.model.push_back({"layer.device", "\"cpu\""});
  EXPECT_THAT(require_same_weights(older, parse_config(kSmallConfig, "x.toml").model, "dir"), testing::IsEmpty());
}

}  // namespace
}  // namespace coe
