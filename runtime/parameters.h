#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/buffer.h"
#include "kernels/tensor.h"

namespace coe {

/// What a Parameter shall be.
struct ParameterSpec {
  std::string name;  ///< As in Hugging Face's Llama, "model.layers.0.mlp.experts.7.up_proj.weight"
  Shape shape;
  bool expert = false;  ///< Sharded over the expert-parallel group, named by its global expert id; else on every rank.
};

/// One weight with its gradient and AdamW moments, fp32, all of one shape. Views memory of its Parameters.
struct Parameter {
  std::string name;
  bool expert = false;
  Tensor value, gradient, first_moment, second_moment;
};

/// This rank's weights. Replicated ones lie together, and expert ones lie together, each kind in the order of the
/// specs, so that gradients are reduced in one go and neighbours (gate_proj, up_proj of one expert) are one matrix.
class Parameters {
 public:
  /// Allocates and zeroes everything; moments only where the weights are to be trained.
  Parameters(std::span<const ParameterSpec> specs, bool trained);

  std::span<Parameter> all() { return parameters_; }
  std::span<const Parameter> all() const { return parameters_; }
  /// Throws kBadInput for an unknown name.
  Parameter& at(std::string_view name);
  const Parameter& at(std::string_view name) const;
  bool contains(std::string_view name) const;

  /// Flat views [n] of all gradients of one kind, padding between parameters (zeros) included.
  Tensor replicated_gradients() const { return replicated_gradients_; }
  Tensor expert_gradients() const { return expert_gradients_; }
  void zero_gradients();

 private:
  std::vector<Buffer> memory_;
  std::vector<Parameter> parameters_;
  Tensor replicated_gradients_, expert_gradients_;
};

}  // namespace coe
