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

/// Rows that attend to one another, and where their probabilities stand among those of their sequence.
struct Document {
  std::int64_t first = 0, length = 0;
  Tensor probabilities;  ///< [heads, length, length]

  Tensor rows(const Tensor& x) const { return x.rows(first, length); }
};

/// Calls work(document) for every document of the batch; `probabilities` is AttentionSaved's.
template <class Work>
void for_each_document(const Batch& batch, const Tensor& probabilities, const Work& work) {
  const std::int64_t heads = probabilities.extent(1);
  std::size_t next = 0;
  for (std::int64_t b = 0; b < batch.sequences; ++b) {
    auto* place = probabilities[b].data<float>();
    for (std::int64_t done = 0; done < batch.length;) {
      const std::int64_t length = batch.documents.empty() ? batch.length : batch.documents[next++];
      work(Document{b * batch.length + done, length, Tensor(place, DType::kF32, {heads, length, length})});
      place += heads * length * length;
      done += length;
    }
  }
}

}  // namespace

void AttentionBlock::forward(const Tensor& h, const Batch& batch, const Tensor& cosine, const Tensor& sine,
                             const Tensor& out, AttentionSaved& saved, Arena& arena) const {
  const std::int64_t length = batch.length;
  saved = {.h = h,
           .normed = arena.make<float>(h.shape()),
           .inverse_rms = arena.make<float>({h.extent(0)}),
           .q = arena.make<float>(h.shape()),
           .k = arena.make<float>(h.shape()),
           .v = arena.make<float>(h.shape()),
           .probabilities = arena.make<float>({batch.sequences, heads_, length, length}),
           .mixed = arena.make<float>(h.shape())};
  rms_norm(h, weights_.norm.value, norm_eps_, saved.normed, saved.inverse_rms);
  for_each_document(batch, saved.probabilities, [&](const Document& document) {
    const auto rows = [&](const Tensor& all) { return document.rows(all); };
    const Tensor x = rows(saved.normed), q = rows(saved.q), k = rows(saved.k), v = rows(saved.v);
    linear(x, weights_.q.value, q);
    linear(x, weights_.k.value, k);
    linear(x, weights_.v.value, v);
    rope(q, heads_, cosine, sine, false);
    rope(k, heads_, cosine, sine, false);
    attention(q, k, v, heads_, rows(saved.mixed), document.probabilities);
    linear(rows(saved.mixed), weights_.o.value, rows(out));
  });
  add(h, 1, out);
}

void AttentionBlock::backward(const Tensor& d, const Batch& batch, const Tensor& cosine, const Tensor& sine,
                              const AttentionSaved& saved, Arena& arena) const {
  ArenaScope scratch(arena);
  const std::int64_t length = batch.length;
  const Shape one_sequence{length, d.extent(1)};
  const Tensor longest[] = {arena.make<float>(one_sequence), arena.make<float>(one_sequence),
                            arena.make<float>(one_sequence), arena.make<float>(one_sequence)};
  const Tensor dnormed = arena.zeros<float>(d.shape());
  for_each_document(batch, saved.probabilities, [&](const Document& document) {
    const auto rows = [&](const Tensor& all) { return document.rows(all); };
    const auto scratch_rows = [&](int i) { return longest[i].rows(0, document.length); };
    const Tensor dmixed = scratch_rows(0), dq = scratch_rows(1), dk = scratch_rows(2), dv = scratch_rows(3);
    std::ranges::fill(dmixed.span<float>(), 0.0F);
    linear_backward(weights_.o, rows(saved.mixed), rows(d), dmixed);
    attention_backward(rows(saved.q), rows(saved.k), rows(saved.v), document.probabilities, heads_, dmixed, dq, dk, dv,
                       arena);
    rope(dq, heads_, cosine, sine, true);
    rope(dk, heads_, cosine, sine, true);
    linear_backward(weights_.q, rows(saved.normed), dq, rows(dnormed));
    linear_backward(weights_.k, rows(saved.normed), dk, rows(dnormed));
    linear_backward(weights_.v, rows(saved.normed), dv, rows(dnormed));
  });
  rms_norm_backward(saved.h, weights_.norm.value, saved.inverse_rms, dnormed, d, weights_.norm.gradient);
}

}  // namespace coe
