#pragma once

#include "runtime/config/config.h"

namespace coe {

/// A model of 2 layers of CoE-2(2/8) that trains in moments; D = S = `width`.
inline Config two_layer_config(std::int64_t width, std::int64_t expert_width) {
  Config config;
  config.model.hidden = config.model.sequence = width;
  config.model.layers = 2;
  config.model.heads = 2;
  config.model.layer.expert_hidden = expert_width;
  config.model.layer.experts = 8;
  config.model.layer.top_k = 2;
  config.model.layer.iterations = 2;
  config.model.layer.balance_loss = BalanceLoss::kSequence;
  config.model.layer.balance_loss_coeff = 0.01F;
  config.training.steps = 50;
  config.training.batch = 8;
  config.validation.sequences = 5;
  return config;
}

/// The same with everything that a router can draw, remember or move, and choices that find no place.
inline Config with_all_routing(Config config) {
  LayerConfig& layer = config.model.layer;
  layer.router_noise = layer.router_bias = layer.norm_topk_prob = true;
  layer.router_jitter = 0.1F;
  layer.groups = 4;
  layer.groups_kept = 2;
  layer.drop_policy = DropPolicy::kProbability;
  layer.capacity_factor = 1.0;
  layer.reroute_rounds = 2;
  layer.pad_to_capacity = true;
  return config;
}

}  // namespace coe
