#include "runtime/checkpoint_manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/error.h"
#include "tests/runtime/small_config.h"

namespace coe {
namespace {

using testing::HasSubstr;

CheckpointManifest example() {
  CheckpointManifest manifest;
  manifest.state = {1000, 16000, 0.1 + 0.2, UINT64_MAX};
  manifest.model = model_entries(parse_config(kSmallConfig, "x.toml").model);
  manifest.shards = {{"replicated.safetensors", {INT64_MAX, UINT64_MAX}, {"a", "b"}}, {"experts_000", {1, 2}, {}}};
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

TEST(CheckpointManifest, RefusesWhatIsNotOne) {
  EXPECT_THAT(parse_refusal("{"), HasSubstr("m.json: not a checkpoint's manifest: "));
  EXPECT_THAT(parse_refusal("[]"), HasSubstr("m.json: not a checkpoint's manifest: "));
  EXPECT_THAT(parse_refusal("{}"), HasSubstr("m.json: not a checkpoint's manifest: "));
  EXPECT_THAT(parse_refusal(R"({"format":"coe-checkpoint-9"})"), HasSubstr("must be \"coe-checkpoint-1\""));
  std::string text = manifest_text(example());
  EXPECT_THAT(parse_refusal(text.replace(text.find("1000"), 4, "\"a\"")), HasSubstr("not a checkpoint's manifest"));
  text = manifest_text(example());
  text.replace(text.find("18446744073709551615"), 20, "18446744073709551616");
  EXPECT_THAT(parse_refusal(text), HasSubstr("\"18446744073709551616\" is not a number"));
}

TEST(CheckpointManifest, RefusesShardsElsewhere) {
  std::string text = manifest_text(example());
  text.replace(text.find("experts_000"), 11, "../secrets");
  EXPECT_THAT(parse_refusal(text), HasSubstr("not a plain file name"));
}

TEST(CheckpointManifest, NamesTheFirstKeyInWhichAnotherModelDiffers) {
  ModelConfig model = parse_config(kSmallConfig, "x.toml").model;
  require_same_model(example(), model, "dir");
  model.layer.top_k = 3;
  model.layer.capacity_factor = 2;
  EXPECT_EQ(refusal([&] { require_same_model(example(), model, "dir"); }),
            "dir: is of another model: layer.top_k is 2 there, must be 3");
  CheckpointManifest without = example();
  without.model.erase(without.model.begin());
  EXPECT_THAT(refusal([&] { require_same_model(without, model, "dir"); }), HasSubstr("model.vocab is missing there"));
}

}  // namespace
}  // namespace coe
