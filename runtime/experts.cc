#include "runtime/experts.h"

#include "kernels/swiglu.h"

namespace coe {
namespace {

/// Calls visit(expert, first row, rows) for every local expert that has rows.
template <class Visit>
void for_each_expert(const ExpertRows& in, const Visit& visit) {
  const auto* offsets = in.offsets.data<std::int32_t>();
  for (std::int64_t e = 0; e + 1 < in.offsets.elements(); ++e) {
    if (offsets[e + 1] > offsets[e]) visit(static_cast<std::size_t>(e), offsets[e], offsets[e + 1] - offsets[e]);
  }
}

template <class Weights>
void feed_forward(const Weights& weights, const Tensor& x, const Tensor& ab, const Tensor& out, Arena& arena) {
  ArenaScope scratch(arena);
  const Tensor m = arena.make<float>({x.extent(0), ab.extent(1) / 2});
  linear(x, weights.gate_up, ab);
  swiglu(ab, m);
  linear(m, weights.down, out);
}

}  // namespace

void expert_forward(const ExpertWeights& weights, const Tensor& x, const Tensor& ab, const Tensor& out, Arena& arena) {
  feed_forward(weights, x, ab, out, arena);
}

void expert_forward(const PackedExpert& weights, const Tensor& x, const Tensor& ab, const Tensor& out, Arena& arena) {
  feed_forward(weights, x, ab, out, arena);
}

void expert_backward(const ExpertWeights& weights, const Tensor& x, const Tensor& ab, const Tensor& d, const Tensor& w,
                     const Tensor& dx, const Tensor& dw, Arena& arena) {
  ArenaScope scratch(arena);
  const Tensor q = arena.make<float>({x.extent(0), weights.down.extent(1)});
  linear_input_gradient(d, weights.down, 0, q);
  swiglu_backward(ab, q, w, ab, q, dw);
  linear_weight_gradient(d, q, weights.down_gradient);
  linear_weight_gradient(ab, x, weights.gate_up_gradient);
  linear_input_gradient(ab, weights.gate_up, 0, dx);
}

void Experts::pack() {
  packed_.clear();
  packed_memory_.reset();
  for (const auto& [gate_up, down, gate_up_gradient, down_gradient] : local_) {
    packed_.push_back({pack_weight(gate_up, packed_memory_), pack_weight(down, packed_memory_)});
  }
}

void Experts::forward(const ExpertRows& in, const ExpertRows& out, ExpertsSaved* saved, Arena& arena) const {
  if (local_.empty()) return;
  const std::int64_t width = local_.front().gate_up.extent(0);
  const Tensor ab = arena.make<float>({in.rows.extent(0), width});
  for_each_expert(in, [&](std::size_t e, std::int64_t first, std::int64_t rows) {
    const Tensor x = in.rows.rows(first, rows), y = out.rows.rows(first, rows);
    if (packed_.empty()) {
      expert_forward(local_[e], x, ab.rows(first, rows), y, arena);
    } else {
      expert_forward(packed_[e], x, ab.rows(first, rows), y, arena);
    }
  });
  if (saved != nullptr) *saved = {in, ab};
}

void Experts::backward(const ExpertRows& d, const ExpertRows& dx, const ExpertsSaved& saved, Arena& arena) const {
  for_each_expert(d, [&](std::size_t e, std::int64_t first, std::int64_t rows) {
    expert_backward(local_[e], saved.in.rows.rows(first, rows), saved.ab.rows(first, rows), d.rows.rows(first, rows),
                    d.scalar.rows(first, rows), dx.rows.rows(first, rows), dx.scalar.rows(first, rows), arena);
  });
}

}  // namespace coe
