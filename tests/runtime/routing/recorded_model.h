#pragma once

#include <cstdint>

#include "runtime/config/config.h"
#include "runtime/routing/routing_record.h"
#include "tests/runtime/routing/routings.h"

namespace coe {

/// A small model whose routing is recorded.
inline ModelConfig model_of(std::int64_t layers, std::int64_t experts, std::int64_t iterations) {
  ModelConfig config;
  config.vocab = 32;
  config.hidden = 16;
  config.layers = layers;
  config.heads = 2;
  config.sequence = 8;
  config.layer.expert_hidden = 12;
  config.layer.experts = experts;
  config.layer.top_k = 2;
  config.layer.iterations = iterations;
  return config;
}

}  // namespace coe
