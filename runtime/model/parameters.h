#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/memory/buffer.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// What a Parameter shall be.
struct ParameterSpec {
  std::string name;  ///< As in Hugging Face's Llama, "model.layers.0.mlp.experts.7.up_proj.weight"
  Shape shape;
  bool expert = false;  ///< Sharded over the expert-parallel group, named by its global expert id; else on every rank.
  bool trained = true;  ///< By gradients; else its value alone is kept.
};

/// One weight with its gradient and AdamW moments, fp32, all of one shape; gradient and moments are empty where it is
/// not to be trained. Views memory of its Parameters.
struct Parameter {
  std::string name;
  bool expert = false;
  Tensor value, gradient, first_moment, second_moment;
};

/// This rank's weights. Replicated ones lie together, and expert ones, and those not trained, each kind in the order of
/// the specs and without gaps, so that gradients are reduced in one go and neighbours (gate_proj, up_proj of one
/// expert) are one matrix. Only the first of each kind is aligned to 64 bytes.
class Parameters {
 public:
  /// Allocates and zeroes everything; gradients and moments only where the weights are to be trained. Throws kInternal
  /// for a name that stands twice.
  Parameters(std::span<const ParameterSpec> specs, bool trained);

  std::span<Parameter> all() { return parameters_; }
  std::span<const Parameter> all() const { return parameters_; }
  /// Throws kBadInput for an unknown name.
  Parameter& at(std::string_view name);
  const Parameter& at(std::string_view name) const;
  bool contains(std::string_view name) const;

  /// Flat views [n] of all gradients of one kind; empty where the weights are not trained.
  Tensor replicated_gradients() const { return replicated_gradients_; }
  Tensor expert_gradients() const { return expert_gradients_; }
  void zero_gradients();

 private:
  using Kind = std::function<bool(const ParameterSpec&)>;
  Tensor allocate(std::int64_t elements);
  /// Gives one kind its place; returns all its gradients, where there are any.
  Tensor lay_out(std::span<const ParameterSpec> specs, const Kind& kind, bool with_gradients);

  std::vector<Buffer> memory_;
  std::vector<Parameter> parameters_;
  std::map<std::string, std::size_t, std::less<>> index_;
  Tensor replicated_gradients_, expert_gradients_;
};

}  // namespace coe
