#include "launcher/verify/case_results.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "comm/make_transport.h"
#include "tests/bad_input.h"
#include "tests/ranks.h"

namespace coe {
namespace {

const std::filesystem::path kDense = std::filesystem::path(COE_SOURCE_DIR) / "tests/cases/dense.safetensors";

/// Everything that the dense case expects, as if it had been computed.
CaseResults right_results(const CaseFile& file, const RankGroups& groups) {
  CaseResults results(groups);
  for (const std::string& name : file.tensors().names()) {
    if (!name.starts_with("expected.")) continue;
    const Tensor tensor = file.tensors().tensor(name);
    std::vector<float> values;
    for (std::int64_t i = 0; i < tensor.elements(); ++i) {
      values.push_back(tensor.dtype() == DType::kU8 ? tensor.data<std::uint8_t>()[i] : tensor.data<float>()[i]);
    }
    results.add(name.substr(std::string("expected.").size()), values);
  }
  return results;
}

class DenseCase : public testing::Test {
 protected:
  const CaseFile file_{kDense};
  const std::unique_ptr<Transport> alone_ = make_transport("local");
  const RankGroups groups_{*alone_, 0, kDefaultDeadline};
  CaseResults results_ = right_results(file_, groups_);
};

TEST_F(DenseCase, RightResultsHaveNoError) { EXPECT_EQ(results_.compare(file_).first, 0); }

TEST_F(DenseCase, AnErrorIsRelativeToTheNorm) {
  std::vector<float> output = results_.at("output");
  double norm = 0;
  for (const float value : output) norm += static_cast<double>(value) * value;
  output[7] += 0.5F;
  results_.add("output", output);
  const auto [error, worst] = results_.compare(file_);
  EXPECT_EQ(worst, "output");
  EXPECT_NEAR(error, 0.5 / std::sqrt(norm), 1e-6);
}

TEST_F(DenseCase, AFlagThatDiffersAndANaNAreInfinitelyWrong) {
  std::vector<float> flags = results_.at("kept.0");
  flags[3] = 1 - flags[3];
  results_.add("kept.0", flags);
  EXPECT_TRUE(std::isinf(results_.compare(file_).first));
  EXPECT_EQ(results_.compare(file_).second, "kept.0");
  results_ = right_results(file_, groups_);
  std::vector<float> output = results_.at("output");
  output[0] = NAN;
  results_.add("output", output);
  EXPECT_TRUE(std::isinf(results_.compare(file_).first));
}

TEST_F(DenseCase, AResultOfAnotherSizeOrNoneIsRefused) {
  results_.add("output", {1, 2, 3});
  bad_input([&] { results_.compare(file_); });
  bad_input([&] { CaseResults(groups_).compare(file_); });
}

TEST_F(DenseCase, TheDigestSeesNamedResultsAndExpertGradients) {
  const std::vector<std::string> names = {"output"};
  const std::vector<ParameterSpec> specs = {{"experts.0.up_proj.weight", {192, 64}, true}, {"gate.0.weight", {1, 64}}};
  const std::uint64_t digest = results_.digest(names, specs);
  const auto digest_after = [&](const std::string& name) {
    CaseResults other = results_;
    std::vector<float> values = other.at(name);
    values.back() += 1;
    other.add(name, values);
    return other.digest(names, specs);
  };
  EXPECT_EQ(results_.digest(names, specs), digest);
  EXPECT_NE(digest_after("output"), digest);
  EXPECT_NE(digest_after("grad.experts.0.up_proj.weight"), digest);
  EXPECT_EQ(digest_after("grad.gate.0.weight"), digest);
}

TEST(CaseResultsOnRanks, PartsAreGatheredInRankOrder) {
  for_each_ranks([](Transport& world) {
    const RankGroups groups(world, 0, kDefaultDeadline);
    CaseResults results(groups);
    const std::vector<float> mine(static_cast<std::size_t>(world.rank()), static_cast<float>(world.rank()));
    results.gather("ranks", mine);
    std::vector<float> expected;
    for (int rank = 0; rank < world.size(); ++rank) {
      expected.insert(expected.end(), static_cast<std::size_t>(rank), static_cast<float>(rank));
    }
    EXPECT_EQ(results.at("ranks"), expected);
  });
}

}  // namespace
}  // namespace coe
