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
  manifest.state = {1000, 16000, 0.1 + 0.2, UINT64_MAX};
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
  EXPECT_THAT(parse_refusal(resealed("coe-checkpoint-2", "coe-checkpoint-9")),
              HasSubstr(R"(m.json: "format" is "coe-checkpoint-9", must be "coe-checkpoint-2")"));
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
