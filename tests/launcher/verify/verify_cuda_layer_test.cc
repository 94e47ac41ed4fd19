#include "launcher/verify/verify_cuda_layer.h"

#include <filesystem>
#include <string>

#include "comm/make_transport.h"
#include "launcher/verify/verify_case.h"
#include "runtime/layer/check_device.h"
#include "tests/comm/nccl_ranks.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

std::filesystem::path case_of(const std::string& name) {
  return std::filesystem::path(COE_SOURCE_DIR) / "tests" / "cases" / (name + ".safetensors");
}

class VerifyCudaLayerOnDevice : public OnCuda {};

constexpr VerifyWay kMapped{.device = Device::Kind::kCuda, .reach = DeviceReach::kMapped};

CaseOutcome outcome_of(const std::filesystem::path& file, int ranks, const VerifyWay& way) {
  CaseOutcome first;
  run_local_ranks(ranks, [&](Transport& world) {
    const CaseOutcome outcome = verify_case(file, world, kDefaultDeadline, way);
    if (world.rank() == 0) first = outcome;
  });
  EXPECT_LE(first.max_error, 1e-5) << file << ": " << first.worst;
  return first;
}

/// That of one rank.
void expect_one_digest(const std::filesystem::path& file, std::initializer_list<int> all_ranks,
                       const VerifyWay& way = kMapped) {
  const std::uint64_t digest = outcome_of(file, 1, kMapped).digest;
  for (const int ranks : all_ranks) {
    EXPECT_EQ(outcome_of(file, ranks, way).digest, digest) << file << ", " << ranks << " ranks";
  }
}

TEST_F(VerifyCudaLayerOnDevice, CasesHoldWithOneDigestAtAnyRanks) {
  for (const char* name : {"coe-3x2of8-no-shared", "coe-2x4of16-drop-probability", "dense"}) {
    expect_one_digest(case_of(name), {2, 4, 7});
  }
}

TEST_F(VerifyCudaLayerOnDevice, ModelsTakeTheirStepsWithOneDigestAtAnyRanks) {
  for (const char* name : {"model-dense-prenorm", "model-coe-2x2of8-authors"}) expect_one_digest(case_of(name), {3});
}

TEST_F(VerifyCudaLayerOnDevice, LayerCasesBesideTheProjectToo) {
  const std::filesystem::path folder = std::filesystem::path(COE_SOURCE_DIR) / ".." / "shared" / "cases";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "there are no cases beside the project";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::filesystem::path& file = entry.path();
    if (file.extension() == ".safetensors" && !file.stem().string().starts_with("model-")) expect_one_digest(file, {7});
  }
}

/// Ways of messages between devices.
class VerifyCudaByMessages : public OnCuda, public testing::WithParamInterface<VerifyWay> {};

TEST_P(VerifyCudaByMessages, TheDigestsAreThoseOfMappedMemory) {
  if (GetParam().reach == DeviceReach::kNccl && !nccl_connects(7)) GTEST_SKIP() << kNoNccl;
  expect_one_digest(case_of("coe-3x2of8-no-shared"), {1, 2, 7}, GetParam());
  expect_one_digest(case_of("coe-2x4of16-drop-probability"), {4}, GetParam());
  expect_one_digest(case_of("model-remoe-prenorm"), {2}, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Ways, VerifyCudaByMessages,
                         testing::Values(VerifyWay{.device = Device::Kind::kCuda, .reach = DeviceReach::kHost},
                                         VerifyWay{.device = Device::Kind::kCuda, .reach = DeviceReach::kNccl},
                                         VerifyWay{.device = Device::Kind::kCuda,
                                                   .reach = DeviceReach::kNccl,
                                                   .sizes = MessageSizes::kPadded}));

}  // namespace
}  // namespace coe
