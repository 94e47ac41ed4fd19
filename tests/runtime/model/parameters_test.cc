#include "runtime/model/parameters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

#include "kernels/memory/error.h"

namespace coe {
namespace {

std::vector<ParameterSpec> two_experts() {
  return {{"embedding", {3, 5}, false},
          {"experts.0.gate_proj", {4, 5}, true},
          {"experts.0.up_proj", {4, 5}, true},
          {"experts.0.down_proj", {5, 4}, true},
          {"norm", {5}, false},
          {"experts.1.gate_proj", {4, 5}, true}};
}

bool all_zero(const Tensor& tensor) {
  return std::ranges::all_of(tensor.span<float>(), [](float x) { return x == 0.0F; });
}

TEST(Parameters, KeepTheOrderAndTheShapesOfTheSpecs) {
  const Parameters parameters(two_experts(), true);
  ASSERT_EQ(parameters.all().size(), 6U);
  EXPECT_EQ(parameters.all()[4].name, "norm");
  EXPECT_FALSE(parameters.all()[4].expert);
  EXPECT_EQ(parameters.at("experts.0.down_proj").value.shape(), (Shape{5, 4}));
  EXPECT_EQ(parameters.at("experts.0.down_proj").second_moment.shape(), (Shape{5, 4}));
  EXPECT_TRUE(parameters.at("experts.0.down_proj").expert);
}

TEST(Parameters, BeginAsZeros) {
  const Parameters parameters(two_experts(), true);
  for (const Parameter& p : parameters.all()) {
    EXPECT_TRUE(all_zero(p.value) && all_zero(p.gradient) && all_zero(p.first_moment) && all_zero(p.second_moment));
  }
}

TEST(Parameters, LieTogetherByKindWithoutGaps) {
  const Parameters parameters(two_experts(), true);
  const float* gate = parameters.at("experts.0.gate_proj").value.data<float>();
  EXPECT_EQ(parameters.at("experts.0.up_proj").value.data<float>(), gate + 20);
  EXPECT_EQ(parameters.at("experts.0.down_proj").value.data<float>(), gate + 40);
  EXPECT_EQ(parameters.at("experts.1.gate_proj").value.data<float>(), gate + 60);
  EXPECT_EQ(parameters.at("norm").value.data<float>(), parameters.at("embedding").value.data<float>() + 15);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(gate) % 64, 0U);
}

TEST(Parameters, WhatIsNotTrainedHasAValueAlone) {
  std::vector<ParameterSpec> specs = two_experts();
  specs.insert(specs.begin() + 1, ParameterSpec{"bias", {4}, false, false});
  const Parameters parameters(specs, true);
  EXPECT_EQ(parameters.at("bias").value.shape(), Shape{4});
  EXPECT_EQ(parameters.at("bias").gradient.raw(), nullptr);
  EXPECT_EQ(parameters.at("bias").first_moment.raw(), nullptr);
  EXPECT_EQ(parameters.replicated().gradient.shape(), Shape{20});
  EXPECT_EQ(parameters.at("norm").value.data<float>(), parameters.at("embedding").value.data<float>() + 15);
}

TEST(Parameters, FlatGradientsAreTheGradientsOfTheirKind) {
  Parameters parameters(two_experts(), true);
  EXPECT_EQ(parameters.replicated().gradient.shape(), Shape{20});
  EXPECT_EQ(parameters.experts().gradient.shape(), Shape{80});
  parameters.at("norm").gradient.data<float>()[2] = 7.0F;
  EXPECT_EQ(parameters.replicated().gradient.data<float>()[17], 7.0F);
  parameters.at("experts.1.gate_proj").gradient.data<float>()[0] = 8.0F;
  EXPECT_EQ(parameters.experts().gradient.data<float>()[60], 8.0F);
  parameters.zero_gradients();
  EXPECT_TRUE(all_zero(parameters.replicated().gradient));
  EXPECT_TRUE(all_zero(parameters.experts().gradient));
}

TEST(Parameters, UntrainedOnesHaveNoGradientsAndNoMoments) {
  Parameters parameters(two_experts(), false);
  const Parameter& norm = parameters.at("norm");
  EXPECT_EQ(norm.value.elements(), 5);
  EXPECT_EQ(norm.gradient.elements(), 0);
  EXPECT_EQ(norm.first_moment.elements(), 0);
  EXPECT_EQ(norm.second_moment.elements(), 0);
  EXPECT_EQ(parameters.replicated().gradient.elements(), 0);
  EXPECT_EQ(parameters.experts().gradient.elements(), 0);
  parameters.zero_gradients();
}

TEST(Parameters, ARankMayHaveNoExperts) {
  const std::vector<ParameterSpec> specs = {{"norm", {5}, false}};
  Parameters parameters(specs, true);
  EXPECT_EQ(parameters.experts().gradient.elements(), 0);
  parameters.zero_gradients();
}

TEST(Parameters, StayInPlaceWhenMoved) {
  Parameters parameters(two_experts(), true);
  parameters.at("norm").value.data<float>()[0] = 3.0F;
  const Parameters moved = std::move(parameters);
  EXPECT_EQ(moved.at("norm").value.data<float>()[0], 3.0F);
}

TEST(Parameters, RefuseUnknownAndRepeatedNames) {
  const Parameters parameters(two_experts(), true);
  EXPECT_TRUE(parameters.contains("norm"));
  EXPECT_FALSE(parameters.contains("nrom"));
  EXPECT_THROW(parameters.at("nrom"), Error);
  const std::vector<ParameterSpec> twice = {{"norm", {5}, false}, {"norm", {5}, false}};
  EXPECT_THROW(Parameters(twice, true), Error);
}

/// As rank 1 of 2 that hold everything alike.
Parameters in_pieces() { return Parameters(two_experts(), true, host_stream(), DType::kF32, {{2, 1}, {2, 1}, true}); }

TEST(Parameters, InPiecesMomentsAreThoseOfThisRanksPiecesAlone) {
  const Parameters parameters = in_pieces();
  const FlatParameters& flat = parameters.experts();
  // 80 elements, to which 16 are added so that both ranks have 48, a multiple of 16.
  EXPECT_EQ(flat.gradient.elements(), 96);
  EXPECT_EQ(flat.value.elements(), 96);
  EXPECT_EQ(flat.first_moment.elements(), 48);
  EXPECT_EQ(flat.second_moment.elements(), 48);
  EXPECT_EQ(flat.offsets.back(), 96);
  EXPECT_EQ(flat.piece(flat.gradient, 0).data<float>(), flat.gradient.data<float>() + 48);
  EXPECT_EQ(flat.piece(flat.first_moment, 0).data<float>(), flat.first_moment.data<float>());
  EXPECT_EQ(parameters.at("norm").value.elements(), 5);
  EXPECT_EQ(parameters.at("norm").gradient.elements(), 5);
  EXPECT_EQ(parameters.at("norm").first_moment.raw(), nullptr);
  // Of 32 and 96 elements value, gradient and two halves.
  EXPECT_EQ(parameters.bytes(), (32 + 96) * 3 * sizeof(float));
}

TEST(Parameters, OfOneRankAloneNothingIsInPieces) {
  const Parameters parameters(two_experts(), true, host_stream(), DType::kF32, {{1, 0}, {1, 0}, true});
  EXPECT_FALSE(parameters.replicated().in_pieces);
  EXPECT_EQ(parameters.at("norm").first_moment.elements(), 5);
}

TEST(Parameters, OnesInPiecesTakeOverOnlyTheSamePieces) {
  const Parameters mine = in_pieces();
  for (const std::int64_t i : {0, 47}) mine.experts().second_moment.data<float>()[i] = static_cast<float>(i + 1);
  Parameters same = in_pieces(), whole(two_experts(), true);
  same.copy_from(mine);
  EXPECT_EQ(same.experts().second_moment.data<float>()[47], 48);
  EXPECT_THROW(same.copy_from(whole), Error);
}

}  // namespace
}  // namespace coe
