#include "launcher/verify_cuda_layer.h"

#include <filesystem>
#include <string>

#include "comm/make_transport.h"
#include "launcher/verify_case.h"
#include "runtime/cuda_chain_layer.h"
#include "tests/bad_input.h"
#include "tests/kernels/on_device.h"

namespace coe {
namespace {

std::filesystem::path case_of(const std::string& name) {
  return std::filesystem::path(COE_SOURCE_DIR) / "tests" / "cases" / (name + ".safetensors");
}

TEST(VerifyCudaLayer, LeavesModelsToTheCpu) {
  const auto world = make_transport("local");
  bad_input([&] { verify_case(case_of("model-dense-prenorm"), *world, kDefaultDeadline, Device::Kind::kCuda); });
}

class VerifyCudaLayerOnDevice : public OnCuda {};

TEST_F(VerifyCudaLayerOnDevice, CasesHoldWithOneDigestAtAnyRanks) {
  for (const char* name : {"coe-3x2of8-no-shared", "coe-2x4of16-drop-probability", "dense"}) {
    std::uint64_t digest = 0;
    for (const int ranks : {1, 2, 4, 7}) {
      CaseOutcome first;
      run_local_ranks(ranks, [&](Transport& world) {
        const CaseOutcome outcome = verify_case(case_of(name), world, kDefaultDeadline, Device::Kind::kCuda);
        if (world.rank() == 0) first = outcome;
      });
      EXPECT_LE(first.max_error, 1e-5) << name << ": " << first.worst;
      if (ranks == 1) digest = first.digest;
      EXPECT_EQ(first.digest, digest) << name << ", " << ranks << " ranks";
    }
  }
}

}  // namespace
}  // namespace coe
