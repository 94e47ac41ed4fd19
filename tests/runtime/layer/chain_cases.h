#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "comm/local_transport.h"
#include "tests/runtime/layer/chain_run.h"
#include "tests/runtime/layer/slow_chain.h"

namespace coe {

inline constexpr double kTolerance = 1e-5;

struct NamedLayer {
  const char* name;
  LayerConfig layer;
};

/// Layers that differ in one thing each.
inline std::vector<NamedLayer> layers_of(std::int64_t hidden, std::int64_t width, std::int64_t experts) {
  const LayerConfig chain{.hidden = hidden, .expert_hidden = width, .experts = experts, .top_k = 2, .iterations = 2};
  std::vector<NamedLayer> layers;
  const auto add = [&](const char* name, const auto& change) {
    layers.push_back({name, chain});
    change(layers.back().layer);
  };
  add("inner residual", [](LayerConfig&) {});
  add("outer residual", [](LayerConfig& layer) { layer.residual = Residual::kOuter; });
  add("no residual", [](LayerConfig& layer) { layer.residual = Residual::kNone; });
  add("iteration norm", [](LayerConfig& layer) { layer.iteration_norm = true; });
  add("shared expert", [](LayerConfig& layer) { layer.shared_experts = 2; });
  add("shared gate", [](LayerConfig& layer) { layer.gate = GateSharing::kShared; });
  add("normalised weights", [](LayerConfig& layer) { layer.norm_topk_prob = true; });
  add("scaled weights", [](LayerConfig& layer) { layer.routed_scaling_factor = 2.5F; });
  add("normalised and scaled weights", [](LayerConfig& layer) {
    layer.norm_topk_prob = true;
    layer.routed_scaling_factor = 2.5F;
  });
  add("one expert, normalised", [](LayerConfig& layer) {
    layer.norm_topk_prob = true;
    layer.routed_scaling_factor = 1.5F;
    layer.top_k = 1;
  });
  add("sigmoid router, normalised and scaled, bias, groups, sequence balance and z", [](LayerConfig& layer) {
    layer.router = RouterKind::kSigmoidTopk;
    layer.norm_topk_prob = layer.router_bias = true;
    layer.routed_scaling_factor = 2.5F;
    layer.groups = layer.experts;
    layer.groups_kept = 3;
    layer.balance_loss = BalanceLoss::kSequence;
    layer.balance_loss_coeff = layer.z_loss_coeff = 0.5F;
  });
  add("sigmoid router, noise and jitter, batch balance, rerouted by probability", [](LayerConfig& layer) {
    layer.router = RouterKind::kSigmoidTopk;
    layer.router_noise = true;
    layer.router_jitter = 0.25F;
    layer.balance_loss = BalanceLoss::kBatch;
    layer.balance_loss_coeff = 0.5F;
    layer.drop_policy = DropPolicy::kProbability;
    layer.capacity_factor = 0.75;
    layer.reroute_rounds = 1;
  });
  add("relu router", [](LayerConfig& layer) { layer.router = RouterKind::kRelu; });
  add("sequence balance and z", [](LayerConfig& layer) {
    layer.balance_loss = BalanceLoss::kSequence;
    layer.balance_loss_coeff = layer.z_loss_coeff = 0.5F;
  });
  add("batch balance", [](LayerConfig& layer) {
    layer.balance_loss = BalanceLoss::kBatch;
    layer.balance_loss_coeff = 0.5F;
  });
  add("capacity by position", [](LayerConfig& layer) {
    layer.drop_policy = DropPolicy::kPosition;
    layer.capacity_factor = 0.75;
  });
  add("capacity by probability, normalised weights", [](LayerConfig& layer) {
    layer.drop_policy = DropPolicy::kProbability;
    layer.capacity_factor = 0.75;
    layer.norm_topk_prob = true;
  });
  add("bias, learned noise and jitter", [](LayerConfig& layer) {
    layer.router_bias = layer.router_noise = true;
    layer.router_jitter = 0.25F;
  });
  add("noise with a shared gate", [](LayerConfig& layer) {
    layer.router_noise = true;
    layer.gate = GateSharing::kShared;
  });
  add("groups", [](LayerConfig& layer) {
    layer.groups = layer.experts;  // of one expert each
    layer.groups_kept = 3;
  });
  add("rerouted by position", [](LayerConfig& layer) {
    layer.drop_policy = DropPolicy::kPosition;
    layer.capacity_factor = 0.75;
    layer.reroute_rounds = 2;
    layer.routed_scaling_factor = 2.5F;
  });
  add("rerouted by probability, normalised weights, bias", [](LayerConfig& layer) {
    layer.drop_policy = DropPolicy::kProbability;
    layer.capacity_factor = 1.0;
    layer.reroute_rounds = 1;
    layer.norm_topk_prob = layer.router_bias = true;
  });
  add("padded to capacity", [](LayerConfig& layer) {
    layer.drop_policy = DropPolicy::kPosition;
    layer.capacity_factor = 1.25;
    layer.pad_to_capacity = true;
  });
  return layers;
}

inline Doubles widened(const std::vector<float>& values) { return {values.begin(), values.end()}; }

inline void expect_near(const std::vector<float>& actual, const Doubles& expected, const std::string& name,
                        double tolerance = kTolerance) {
  ASSERT_EQ(actual.size(), expected.size()) << name;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double allowed = tolerance * std::max(1.0, std::abs(expected[i]));
    ASSERT_NEAR(static_cast<double>(actual[i]), expected[i], allowed) << "element " << i << " of " << name;
  }
}

inline ChainResult result_of_one_rank(const ChainCase& chain) {
  const std::unique_ptr<Transport> alone = make_lone_transport();
  return ChainRun(chain, *alone).run();
}

inline void expect_same_bits(const ChainResult& result, const ChainResult& reference) {
  EXPECT_EQ(result.y, reference.y);
  EXPECT_EQ(result.dx, reference.dx);
  EXPECT_EQ(result.expert_gradients, reference.expert_gradients);
  expect_near(result.replicated_gradients, widened(reference.replicated_gradients), "replicated gradients");
  EXPECT_NEAR(result.balance, reference.balance, 1e-9);
}

/// All but counters, within the tolerance.
inline void expect_near(const ChainResult& result, const ChainResult& reference) {
  expect_near(result.y, widened(reference.y), "y");
  expect_near(result.dx, widened(reference.dx), "dx");
  expect_near(result.expert_gradients, widened(reference.expert_gradients), "expert gradients");
  expect_near(result.replicated_gradients, widened(reference.replicated_gradients), "replicated gradients");
  EXPECT_NEAR(result.balance, reference.balance, kTolerance);
}

}  // namespace coe
