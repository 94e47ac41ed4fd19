#include "runtime/model/attention_block.h"

#include <algorithm>

#include "kernels/decoder/attention.h"
#include "kernels/decoder/rms_norm.h"
#include "kernels/decoder/rope.h"
#include "kernels/products/linear.h"
#include "kernels/routing/rows.h"

namespace coe {
namespace {

/// Adds to dx, and to the weight's gradient, what comes back through y = x W^T.
void linear_backward(const TrainedTensor& weight, const Tensor& x, const Tensor& dy, const Tensor& dx) {
  linear_input_gradient(dy, weight.value, 1, dx);
  linear_weight_gradient(dy, x, weight.gradient);
}

}  // namespace

Tensor AttentionBlock::forward(const Tensor& h, const Batch& batch, const Tensor& cosine, const Tensor& sine,
                               AttentionSaved& saved, Arena& arena) const {
  const std::int64_t length = batch.length;
  const Tensor out = arena.make<float>(h.shape());
  saved = {.h = h,
           .normed = arena.make<float>(h.shape()),
           .inverse_rms = arena.make<float>({h.extent(0)}),
           .q = arena.make<float>(h.shape()),
           .k = arena.make<float>(h.shape()),
           .v = arena.make<float>(h.shape()),
           .probabilities = arena.make<float>({batch.sequences, heads_, length, length}),
           .mixed = arena.make<float>(h.shape())};
  rms_norm(h, weights_.norm.value, norm_eps_, saved.normed, saved.inverse_rms);
  for (std::int64_t b = 0; b < batch.sequences; ++b) {
    const auto sequence = [&](const Tensor& x) { return x.rows(b * length, length); };
    const Tensor x = sequence(saved.normed), q = sequence(saved.q), k = sequence(saved.k), v = sequence(saved.v);
    linear(x, weights_.q.value, q);
    linear(x, weights_.k.value, k);
    linear(x, weights_.v.value, v);
    rope(q, heads_, cosine, sine, false);
    rope(k, heads_, cosine, sine, false);
    attention(q, k, v, heads_, sequence(saved.mixed), saved.probabilities[b]);
    linear(sequence(saved.mixed), weights_.o.value, sequence(out));
  }
  add(h, 1, out);
  return out;
}

void AttentionBlock::backward(const Tensor& d, const Batch& batch, const Tensor& cosine, const Tensor& sine,
                              const AttentionSaved& saved, Arena& arena) const {
  ArenaScope scratch(arena);
  const std::int64_t length = batch.length;
  const Shape one_sequence{length, d.extent(1)};
  const Tensor dmixed = arena.make<float>(one_sequence), dq = arena.make<float>(one_sequence);
  const Tensor dk = arena.make<float>(one_sequence), dv = arena.make<float>(one_sequence);
  const Tensor dnormed = arena.zeros<float>(d.shape());
  for (std::int64_t b = 0; b < batch.sequences; ++b) {
    const auto sequence = [&](const Tensor& x) { return x.rows(b * length, length); };
    std::ranges::fill(dmixed.span<float>(), 0.0F);
    linear_backward(weights_.o, sequence(saved.mixed), sequence(d), dmixed);
    attention_backward(sequence(saved.q), sequence(saved.k), sequence(saved.v), saved.probabilities[b], heads_, dmixed,
                       dq, dk, dv, arena);
    rope(dq, heads_, cosine, sine, true);
    rope(dk, heads_, cosine, sine, true);
    linear_backward(weights_.q, sequence(saved.normed), dq, sequence(dnormed));
    linear_backward(weights_.k, sequence(saved.normed), dk, sequence(dnormed));
    linear_backward(weights_.v, sequence(saved.normed), dv, sequence(dnormed));
  }
  rms_norm_backward(saved.h, weights_.norm.value, saved.inverse_rms, dnormed, d, weights_.norm.gradient);
}

}  // namespace coe
