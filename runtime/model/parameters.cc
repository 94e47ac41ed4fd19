#include "runtime/model/parameters.h"

#include <algorithm>
#include <array>

#include "kernels/memory/copy.h"
#include "kernels/memory/error.h"

namespace coe {
namespace {

/// `shape` at element `offset` of `flat`; empty where `flat` does not hold it whole.
Tensor carve(const Tensor& flat, std::int64_t elements, std::int64_t offset, const Shape& shape) {
  if (flat.raw() == nullptr || flat.elements() != elements) return {};
  return flat.rows(offset, shape.elements()).reshaped(shape);
}

}  // namespace

WeightSharing weight_sharing(const RankGroups& groups, bool shards_state) {
  const auto holders = [](const Group& group) { return WeightSharing::Holders{group.size(), group.rank()}; };
  return {holders(groups.world()), holders(groups.replicas()), shards_state};
}

Tensor FlatParameters::piece(const Tensor& all, std::int64_t index) const {
  const Share share = all.elements() == deal.elements() ? deal.piece(index) : deal.kept(index);
  return all.rows(share.first, share.count);
}

void FlatParameters::take_stretch(std::int64_t index, const Stream& stream) const {
  const auto [first, count] = deal.stretch(index);
  cast(stretch.rows(0, count), rounded.rows(first, count), stream);
  for (const auto& [offset, whole] : wholes) {
    const std::int64_t begin = std::max(first, offset), end = std::min(first + count, offset + whole.elements());
    if (begin < end) copy(stretch.rows(begin - first, end - begin), whole.rows(begin - offset, end - begin), stream);
  }
}

Parameters::Parameters(std::span<const ParameterSpec> specs, bool trained, const Stream& stream, DType dtype,
                       const WeightSharing& sharing)
    : stream_(&stream), sharing_(sharing), parameters_(specs.size()) {
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const bool fresh = index_.emplace(specs[i].name, i).second;
    if (!fresh) fail(ErrorCode::kInternal, "parameters: ", specs[i].name, " stands twice");
  }
  const auto replicated = [](const ParameterSpec& spec) { return spec.trained && !spec.expert; };
  const auto sharded = [](const ParameterSpec& spec) { return spec.trained && spec.expert; };
  replicated_ = lay_out(specs, {replicated, trained, dtype, sharing.replicated});
  experts_ = lay_out(specs, {sharded, trained, dtype, sharing.experts});
  untrained_ = lay_out(specs, {[](const ParameterSpec& spec) { return !spec.trained; }, false, DType::kF32});
}

Tensor Parameters::allocate(std::int64_t elements, DType dtype) {
  const Buffer& buffer = memory_.emplace_back(static_cast<std::size_t>(elements) * size_of(dtype), stream_->device());
  const Tensor tensor(buffer.data(), dtype, Shape{elements}, stream_->device());
  if (elements > 0) clear(tensor, *stream_);
  return tensor;
}

FlatParameters Parameters::allocate_all(std::span<const ParameterSpec> specs, const Kind& kind) {
  FlatParameters flat;
  flat.offsets = {0};
  for (const ParameterSpec& spec : specs) {
    if (!kind.holds(spec)) continue;
    flat.offsets.push_back(flat.offsets.back() + spec.shape.elements());
    flat.vectors.push_back(spec.shape.rank() == 1);
  }
  flat.deal = Deal(flat.offsets.back(), kind.learning ? kind.holders.ranks : 1, kind.holders.rank);
  const std::int64_t all = flat.offsets.back() = flat.deal.elements();
  flat.in_pieces = sharing_.shards_state && flat.deal.ranks() > 1 && all > 0;
  const std::int64_t kept = flat.in_pieces ? flat.deal.own() : all;
  const bool rounds = kind.dtype != DType::kF32;
  flat.value = allocate(rounds ? kept : all);
  if (rounds) flat.rounded = allocate(all, kind.dtype);
  if (flat.values_in_pieces()) flat.stretch = allocate(flat.deal.longest());
  if (!kind.learning) return flat;
  flat.gradient = allocate(all);
  flat.first_moment = allocate(kept);
  flat.second_moment = allocate(kept);
  return flat;
}

FlatParameters Parameters::lay_out(std::span<const ParameterSpec> specs, const Kind& kind) {
  FlatParameters flat = allocate_all(specs, kind);
  const std::int64_t elements = flat.deal.elements();
  std::size_t next = 0;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const ParameterSpec& spec = specs[i];
    if (!kind.holds(spec)) continue;
    const std::int64_t offset = flat.offsets[next++];
    const bool rounds = flat.rounded.elements() > 0 && is_rounded(spec);
    const auto own = [&](const Tensor& all) { return carve(all, elements, offset, spec.shape); };
    Tensor value = own(flat.value);
    if (flat.values_in_pieces() && !rounds) {
      flat.wholes.push_back({offset, allocate(spec.shape.elements())});
      value = flat.wholes.back().value.reshaped(spec.shape);
    }
    parameters_[i] = {spec.name,
                      spec.expert,
                      value,
                      own(flat.gradient),
                      own(flat.first_moment),
                      own(flat.second_moment),
                      rounds ? own(flat.rounded) : value};
  }
  return flat;
}

std::size_t Parameters::bytes() const {
  std::size_t bytes = 0;
  for (const Buffer& buffer : memory_) bytes += buffer.bytes();
  return bytes;
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
  copy_flat(other.replicated_, replicated_, stream_with(other));
  copy_flat(other.experts_, experts_, stream_with(other));
}

void Parameters::copy_flat(const FlatParameters& from, const FlatParameters& to, const Stream& stream) {
  if (from.in_pieces || to.in_pieces) {
    if (from.in_pieces != to.in_pieces || from.deal != to.deal || from.offsets != to.offsets) {
      fail(ErrorCode::kInternal, "parameters: state in pieces of ", from.deal.elements(), " numbers and of ",
           to.deal.elements());
    }
    copy(from.first_moment, to.first_moment, stream);
    copy(from.second_moment, to.second_moment, stream);
  }
  if (to.rounded.elements() > 0 && !to.values_in_pieces()) cast(to.value, to.rounded, stream);
  if (from.values_in_pieces() == to.values_in_pieces()) return;
  for (std::int64_t i = 0; i < to.deal.stretches(); ++i) {
    copy(from.piece(from.value, i), to.piece(to.value, i), stream);
    if (from.values_in_pieces()) continue;
    const auto [first, count] = to.deal.stretch(i);
    copy(from.value.rows(first, count), to.stretch.rows(0, count), stream);
    to.take_stretch(i, stream);
  }
}

void Parameters::copy_gradients_from(const Parameters& other) {
  static constexpr std::array kMembers = {&Parameter::gradient};
  copy_each(other, kMembers);
}

}  // namespace coe
