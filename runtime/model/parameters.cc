#include "runtime/model/parameters.h"

#include <cstring>

#include "kernels/memory/error.h"

namespace coe {
namespace {

/// `shape` at element `offset` of `flat`; empty where `flat` is.
Tensor carve(const Tensor& flat, std::int64_t offset, const Shape& shape) {
  if (flat.raw() == nullptr) return {};
  return flat.rows(offset, shape.elements()).reshaped(shape);
}

}  // namespace

Parameters::Parameters(std::span<const ParameterSpec> specs, bool trained) : parameters_(specs.size()) {
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const bool fresh = index_.emplace(specs[i].name, i).second;
    if (!fresh) fail(ErrorCode::kInternal, "parameters: ", specs[i].name, " stands twice");
  }
  const auto replicated = [](const ParameterSpec& spec) { return spec.trained && !spec.expert; };
  const auto sharded = [](const ParameterSpec& spec) { return spec.trained && spec.expert; };
  replicated_gradients_ = lay_out(specs, replicated, trained);
  expert_gradients_ = lay_out(specs, sharded, trained);
  lay_out(
      specs, [](const ParameterSpec& spec) { return !spec.trained; }, false);
}

Tensor Parameters::allocate(std::int64_t elements) {
  const Buffer& buffer = memory_.emplace_back(static_cast<std::size_t>(elements) * sizeof(float));
  if (elements > 0) std::memset(buffer.data(), 0, buffer.bytes());
  return {buffer.data(), DType::kF32, Shape{elements}};
}

Tensor Parameters::lay_out(std::span<const ParameterSpec> specs, const Kind& kind, bool with_gradients) {
  std::int64_t elements = 0;
  for (const ParameterSpec& spec : specs) elements += kind(spec) ? spec.shape.elements() : 0;
  const Tensor values = allocate(elements);
  Tensor gradients, first_moments, second_moments;
  if (with_gradients) {
    gradients = allocate(elements);
    first_moments = allocate(elements);
    second_moments = allocate(elements);
  }
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const ParameterSpec& spec = specs[i];
    if (!kind(spec)) continue;
    parameters_[i] = {spec.name,
                      spec.expert,
                      carve(values, offset, spec.shape),
                      carve(gradients, offset, spec.shape),
                      carve(first_moments, offset, spec.shape),
                      carve(second_moments, offset, spec.shape)};
    offset += spec.shape.elements();
  }
  return gradients;
}

Parameter& Parameters::at(std::string_view name) {
  const auto found = index_.find(name);
  check(found != index_.end(), "parameters: no weight is called ", name);
  return parameters_[found->second];
}

const Parameter& Parameters::at(std::string_view name) const {
  const auto found = index_.find(name);
  check(found != index_.end(), "parameters: no weight is called ", name);
  return parameters_[found->second];
}

bool Parameters::contains(std::string_view name) const { return index_.contains(name); }

void Parameters::zero_gradients() {
  for (const Tensor& gradients : {replicated_gradients_, expert_gradients_}) {
    if (gradients.raw() != nullptr) std::memset(gradients.raw(), 0, gradients.bytes());
  }
}

}  // namespace coe
