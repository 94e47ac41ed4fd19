#include "runtime/model/parameters.h"

#include <array>

#include "kernels/memory/copy.h"
#include "kernels/memory/error.h"

namespace coe {
namespace {

/// `shape` at element `offset` of `flat`; empty where `flat` is.
Tensor carve(const Tensor& flat, std::int64_t offset, const Shape& shape) {
  if (flat.raw() == nullptr) return {};
  return flat.rows(offset, shape.elements()).reshaped(shape);
}

}  // namespace

Parameters::Parameters(std::span<const ParameterSpec> specs, bool trained, const Stream& stream, DType dtype)
    : stream_(&stream), parameters_(specs.size()) {
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const bool fresh = index_.emplace(specs[i].name, i).second;
    if (!fresh) fail(ErrorCode::kInternal, "parameters: ", specs[i].name, " stands twice");
  }
  const auto replicated = [](const ParameterSpec& spec) { return spec.trained && !spec.expert; };
  const auto sharded = [](const ParameterSpec& spec) { return spec.trained && spec.expert; };
  replicated_ = lay_out(specs, replicated, trained, dtype);
  experts_ = lay_out(specs, sharded, trained, dtype);
  untrained_ = lay_out(
      specs, [](const ParameterSpec& spec) { return !spec.trained; }, false, DType::kF32);
}

Tensor Parameters::allocate(std::int64_t elements, DType dtype) {
  const Buffer& buffer = memory_.emplace_back(static_cast<std::size_t>(elements) * size_of(dtype), stream_->device());
  const Tensor tensor(buffer.data(), dtype, Shape{elements}, stream_->device());
  if (elements > 0) clear(tensor, *stream_);
  return tensor;
}

FlatParameters Parameters::lay_out(std::span<const ParameterSpec> specs, const Kind& kind, bool learning, DType dtype) {
  FlatParameters flat;
  flat.offsets = {0};
  for (const ParameterSpec& spec : specs) {
    if (!kind(spec)) continue;
    flat.offsets.push_back(flat.offsets.back() + spec.shape.elements());
    flat.vectors.push_back(spec.shape.rank() == 1);
  }
  const std::int64_t elements = flat.offsets.back();
  flat.value = allocate(elements);
  if (learning) {
    flat.gradient = allocate(elements);
    flat.first_moment = allocate(elements);
    flat.second_moment = allocate(elements);
  }
  if (dtype != DType::kF32) flat.rounded = allocate(elements, dtype);
  std::size_t next = 0;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const ParameterSpec& spec = specs[i];
    if (!kind(spec)) continue;
    const std::int64_t offset = flat.offsets[next];
    const bool rounds = flat.rounded.elements() > 0 && spec.rounded && !flat.vectors[next];
    const auto own = [&](const Tensor& all) { return carve(all, offset, spec.shape); };
    parameters_[i] = {spec.name,
                      spec.expert,
                      own(flat.value),
                      own(flat.gradient),
                      own(flat.first_moment),
                      own(flat.second_moment),
                      own(rounds ? flat.rounded : flat.value)};
    ++next;
  }
  return flat;
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
  for (const Tensor& gradients : {replicated_.gradient, experts_.gradient}) {
    if (gradients.elements() > 0) clear(gradients, *stream_);
  }
}

const Stream& Parameters::stream_with(const Parameters& other) const {
  return stream_->device() == kCpu ? *other.stream_ : *stream_;
}

void Parameters::copy_each(const Parameters& other, std::span<Tensor Parameter::*const> members) {
  for (const Parameter& mine : parameters_) {
    const Parameter& theirs = other.at(mine.name);
    for (Tensor Parameter::*member : members) {
      const Tensor &from = theirs.*member, &to = mine.*member;
      if (from.elements() > 0 && to.elements() > 0) copy(from, to, stream_with(other));
    }
  }
}

void Parameters::copy_from(const Parameters& other) {
  static constexpr std::array kMembers = {&Parameter::value, &Parameter::first_moment, &Parameter::second_moment};
  copy_each(other, kMembers);
  for (const FlatParameters* flat : {&replicated_, &experts_}) {
    if (flat->rounded.elements() > 0) cast(flat->value, flat->rounded, stream_with(other));
  }
}

void Parameters::copy_gradients_from(const Parameters& other) {
  static constexpr std::array kMembers = {&Parameter::gradient};
  copy_each(other, kMembers);
}

}  // namespace coe
