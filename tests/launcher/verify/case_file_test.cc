#include "launcher/verify/case_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>

#include "tests/bad_input.h"
#include "tests/launcher/scratch.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

const std::filesystem::path kCases = std::filesystem::path(COE_SOURCE_DIR) / "tests" / "cases";

/// A case of one tensor with another metadata entry; `from` in the entry becomes `to`.
std::filesystem::path changed(const Scratch& scratch, const std::string& key, const std::string& from,
                              const std::string& to) {
  auto metadata = SafetensorsFile(kCases / "model-remoe-prenorm.safetensors").metadata();
  std::string& entry = metadata.at(key);
  const std::size_t at = entry.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  entry.replace(at, from.size(), to);
  static std::array<float, 2> numbers{};
  write_safetensors(scratch / "changed.safetensors", metadata,
                    {{"input", Tensor(numbers.data(), DType::kF32, {1, 2})}});
  return scratch / "changed.safetensors";
}

TEST(CaseFile, ReadsTheOptionsOfALayerAndOfAModel) {
  const CaseFile layer(kCases / "coe-2x4of16-drop-probability.safetensors");
  EXPECT_FALSE(layer.is_model());
  EXPECT_EQ(layer.layer().hidden, 64);
  EXPECT_EQ(layer.layer().drop_policy, DropPolicy::kProbability);
  EXPECT_TRUE(layer.layer().norm_topk_prob);
  EXPECT_EQ(layer.length(), 24);
  const CaseFile model(kCases / "model-remoe-prenorm.safetensors");
  EXPECT_TRUE(model.is_model());
  EXPECT_EQ(model.layer().router, RouterKind::kRelu);
  EXPECT_EQ(model.layer().top_k, 2);  // target_experts_per_token
  EXPECT_EQ(model.model().vocab, 61);
  EXPECT_EQ(model.training().steps, 5);
  EXPECT_FLOAT_EQ(model.training().beta2, 0.95F);
}

TEST(CaseFile, RefusesWhatItDoesNotKnow) {
  const Scratch scratch;
  const auto refusal = [&](const std::string& key, const std::string& from, const std::string& to) {
    return bad_input([&] { CaseFile{changed(scratch, key, from, to)}; });
  };
  EXPECT_THAT(refusal("format", "case-1", "case-9"), HasSubstr("format is coe-model-case-9"));
  EXPECT_THAT(refusal("config", "\"reroute_rounds\": 0", "\"reroute_rounds\": 2"),
              HasSubstr("reroute_rounds: 2, must be 0 with router \"relu\""));
  EXPECT_THAT(refusal("config", "\"relu\"", "\"sigmoid\""), HasSubstr("allowed are softmax_topk, sigmoid_topk, relu"));
  EXPECT_THAT(refusal("config", "\"hidden\": 32", "\"hidden\": \"wide\""), HasSubstr("an integer is needed"));
  EXPECT_THAT(refusal("config", "\"hidden\"", "\"height\""), HasSubstr("hidden is missing"));
  EXPECT_THAT(refusal("config", "{", "{\"colour\": 1, "), HasSubstr("unknown option colour"));
  EXPECT_THAT(refusal("config", "{", "["), HasSubstr("not a JSON object"));
  EXPECT_THAT(refusal("config", "\"num_experts\": 8", "\"num_experts\": 1"), HasSubstr("top_k"));
}

TEST(CaseFile, RefusesATensorOfAnotherShape) {
  const CaseFile file(kCases / "dense.safetensors");
  EXPECT_EQ(file.tensor("input", DType::kF32, {312, 64}).elements(), 312 * 64);
  EXPECT_THAT(bad_input([&] {
                (void)file.tensor("input", DType::kF32, {64, 312});
              }),
              HasSubstr("must be F32 [64, 312]"));
  EXPECT_THAT(bad_input([&] { (void)file.tensor("output", DType::kF32, {1}); }), HasSubstr("no tensor output"));
}

}  // namespace
}  // namespace coe
