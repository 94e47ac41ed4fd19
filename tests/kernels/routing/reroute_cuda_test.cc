#include "kernels/routing/reroute.h"

#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

using Bytes = Owned<std::uint8_t>;

/// Two tokens, six experts, two choices each: token 0 chose 0 and 4 and lost 4, token 1 chose 2 and 3 and lost both.
class RerouteCuda : public OnCuda {
 protected:
  void SetUp() override {
    OnCuda::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    scores_ = put(Floats({2, 6}, {0.4F, 0.1F, 0.1F, 0.05F, 0.3F, 0.05F, 0.1F, 0.1F, 0.3F, 0.4F, 0.05F, 0.05F}));
    bias_ = put(Floats({6}, {0, 0, 0, 0, 0, 0.2F}));
    choices_ = {
        put(Ints({3}, {0, 2, 4})), put(Ints({4}, {0, 4, 2, 3})), room(DType::kF32, {4}), room(DType::kF32, {4}), {}};
    kept_ = put(Bytes({4}, {1, 0, 0, 0}));
    standbys_ = {room(DType::kI32, {2, 32}), room(DType::kI32, {4}), room(DType::kF32, {4}), room(DType::kU8, {4}),
                 put(Bytes({4}))};
  }
  /// What asks, and for which experts, -1 where nothing does.
  std::vector<std::int32_t> ask(const Tensor& bias, bool first_round) {
    cuda::ask_next_best(scores_, bias, rule_, choices_, kept_, first_round, standbys_, stream_);
    std::vector<std::int32_t> experts = get<std::int32_t>(standbys_.expert).values();
    const Bytes asking = get<std::uint8_t>(standbys_.asking);
    for (std::size_t j = 0; j < experts.size(); ++j) {
      if (asking[static_cast<std::int64_t>(j)] == 0) experts[j] = -1;
    }
    return experts;
  }

  cuda::TopkRule rule_{.top_k = 2, .scale = 2};
  Tensor scores_, bias_, kept_;
  cuda::DeviceChoices choices_;
  cuda::Standbys standbys_;
};

TEST_F(RerouteCuda, TheHomelessAskForTheNextBestTheLowerFirstOnATie) {
  EXPECT_EQ(ask({}, true), (std::vector<std::int32_t>{-1, 1, 0, 1}));
  EXPECT_EQ(ask({}, false), (std::vector<std::int32_t>{-1, 2, 4, 5}));
  EXPECT_EQ(ask({}, false), (std::vector<std::int32_t>{-1, 3, -1, -1}));  // nobody is left for token 1
}

TEST_F(RerouteCuda, TheBiasRanksAndTheScoreIsWithoutIt) {
  EXPECT_EQ(ask(bias_, true), (std::vector<std::int32_t>{-1, 5, 5, 0}));
  EXPECT_EQ(get<float>(standbys_.score)[1], 0.05F);
}

TEST_F(RerouteCuda, NobodyAsksOutsideTheGroupsOfTheToken) {
  rule_.groups = 3;  // of two: token 0 keeps 0, 1 and 4, 5; token 1 keeps 2, 3 and 0, 1
  rule_.groups_kept = 2;
  EXPECT_EQ(ask({}, true), (std::vector<std::int32_t>{-1, 1, 0, 1}));
  EXPECT_EQ(ask({}, false), (std::vector<std::int32_t>{-1, 5, -1, -1}));
  EXPECT_EQ(ask({}, false), (std::vector<std::int32_t>{-1, -1, -1, -1}));
}

TEST_F(RerouteCuda, WhatWasGrantedAsksNoMoreAndIsMergedByExpert) {
  ask({}, true);
  standbys_.granted = put(Bytes({4}, {0, 1, 1, 0}));
  EXPECT_EQ(ask({}, false), (std::vector<std::int32_t>{-1, -1, -1, 4}));
  for (const bool normalise : {false, true}) {
    rule_.normalise = normalise;
    const cuda::DeviceChoices all{room(DType::kI32, {3}), room(DType::kI32, {8}), room(DType::kF32, {8}),
                                  room(DType::kF32, {8}), room(DType::kU8, {8})};
    const Tensor all_kept = room(DType::kU8, {8});
    cuda::merge_standbys(scores_, rule_, choices_, kept_, standbys_, all, all_kept, stream_);
    const auto first = [](const auto& values) { return std::vector(values.begin(), values.begin() + 6); };
    EXPECT_EQ(get<std::int32_t>(all.offsets).values(), (std::vector<std::int32_t>{0, 3, 6}));
    EXPECT_EQ(first(get<std::int32_t>(all.expert)), (std::vector<std::int32_t>{0, 1, 4, 0, 2, 3}));
    EXPECT_EQ(first(get<float>(all.score)), (std::vector<float>{0.4F, 0.1F, 0.3F, 0.1F, 0.3F, 0.4F}));
    EXPECT_EQ(first(get<std::uint8_t>(all.chosen)), (std::vector<std::uint8_t>{1, 0, 1, 0, 1, 1}));
    EXPECT_EQ(first(get<std::uint8_t>(all_kept)), (std::vector<std::uint8_t>{1, 1, 0, 1, 0, 0}));
    const std::vector<float> weights = first(get<float>(all.weight));
    for (std::size_t j = 0; j < weights.size(); ++j) {
      EXPECT_FLOAT_EQ(weights[j], get<float>(all.score)[static_cast<std::int64_t>(j)] * (normalise ? 2 / 0.7F : 2));
    }
  }
}

}  // namespace
}  // namespace coe
