#include "runtime/model/attention_block.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "kernels/decoder/rms_norm.h"
#include "kernels/decoder/rope.h"
#include "kernels/memory/copy.h"
#include "kernels/products/linear.h"
#include "kernels/routing/rows.h"

namespace coe {
namespace {

/// Numbers that a stream's device reads, in the arena.
Tensor placed(std::span<const std::int32_t> numbers, Arena& arena, const Stream& stream) {
  const Tensor there = arena.make<std::int32_t>({std::ssize(numbers)});
  copy(Tensor(const_cast<std::int32_t*>(numbers.data()), DType::kI32, there.shape()), there, stream);
  return there;
}

std::vector<std::int32_t> offsets_of(std::span<const std::int32_t> lengths) {
  std::vector<std::int32_t> offsets{0};
  std::partial_sum(lengths.begin(), lengths.end(), std::back_inserter(offsets));
  return offsets;
}

/// Rows that one step of a block takes: on the host a document, whose rows stay near; on a device all.
struct Run {
  std::int64_t first = 0, rows = 0;
  DocumentRows documents;
  Tensor positions, softmax;

  Tensor of(const Tensor& x) const { return x.rows(first, rows); }
};

std::int64_t longest_run(const AttentionRows& where) {
  return where.positions.on_host() ? where.documents.longest : where.positions.extent(0);
}

/// Calls work(run) for one run after another; `softmax` is AttentionSaved's.
template <class Work>
void for_each_run(const AttentionRows& where, const Tensor& softmax, int heads, const Work& work) {
  const std::int64_t all = where.positions.extent(0);
  if (!softmax.on_host()) return work(Run{0, all, where.documents, where.positions, softmax});
  std::int64_t first = 0, saved = 0;
  for (const std::int32_t length : where.lengths) {
    std::int32_t ends[] = {0, length};
    const std::int64_t floats = attention_saved_elements(length, heads, {&length, 1}, kCpu);
    work(Run{first,
             length,
             {Tensor(ends, DType::kI32, {2}), length},
             where.positions.rows(first, length),
             softmax.rows(saved, floats)});
    first += length;
    saved += floats;
  }
}

}  // namespace

AttentionRows attention_rows(const Batch& batch, Arena& arena, const Stream& stream) {
  AttentionRows where{.lengths = {batch.documents.begin(), batch.documents.end()}, .documents = {}, .positions = {}};
  if (where.lengths.empty()) {
    where.lengths.assign(static_cast<std::size_t>(batch.sequences), static_cast<std::int32_t>(batch.length));
  }
  std::vector<std::int32_t> positions(static_cast<std::size_t>(batch.tokens()));
  auto next = positions.begin();
  for (const std::int32_t length : where.lengths) {
    std::iota(next, next + length, 0);
    next += length;
  }
  const auto longest = std::ranges::max_element(where.lengths);
  where.documents = {placed(offsets_of(where.lengths), arena, stream), longest == where.lengths.end() ? 0 : *longest};
  where.positions = placed(positions, arena, stream);
  return where;
}

void AttentionBlock::forward(const Tensor& h, const AttentionRows& where, const Tensor& cosine, const Tensor& sine,
                             const Tensor& out, AttentionSaved& saved, Arena& arena) const {
  const auto like_h = [&] { return arena.make(h.dtype(), h.shape()); };
  saved = {.h = h,
           .normed = like_h(),
           .inverse_rms = arena.make<float>({h.extent(0)}),
           .q = like_h(),
           .k = like_h(),
           .v = like_h(),
           .softmax = arena.make<float>({attention_saved_elements(h.extent(0), heads_, where.lengths, h.device())}),
           .mixed = like_h()};
  rms_norm(h, weights_.norm.value, norm_eps_, saved.normed, saved.inverse_rms, *stream_);
  for_each_run(where, saved.softmax, heads_, [&](const Run& run) {
    const Tensor x = run.of(saved.normed), q = run.of(saved.q), k = run.of(saved.k), v = run.of(saved.v);
    linear(x, weights_.q.value, q, arena, *stream_);
    linear(x, weights_.k.value, k, arena, *stream_);
    linear(x, weights_.v.value, v, arena, *stream_);
    rope(q, heads_, cosine, sine, run.positions, false, *stream_);
    rope(k, heads_, cosine, sine, run.positions, false, *stream_);
    attention(q, k, v, run.documents, heads_, run.of(saved.mixed), run.softmax, *stream_);
    linear(run.of(saved.mixed), weights_.o.value, run.of(out), arena, *stream_);
  });
  add(h, 1, out, *stream_);
}

void AttentionBlock::linear_backward(const TrainedTensor& weight, const Tensor& x, const Tensor& dy, float beta,
                                     const Tensor& dx, Arena& arena) const {
  linear_input_gradient(dy, weight.value, beta, dx, arena, *stream_);
  linear_weight_gradient(dy, x, weight.gradient, arena, *stream_);
}

void AttentionBlock::backward(const Tensor& d, const AttentionRows& where, const Tensor& cosine, const Tensor& sine,
                              const AttentionSaved& saved, Arena& arena) const {
  ArenaScope scratch(arena);
  const auto of_a_run = [&] { return arena.make(d.dtype(), {longest_run(where), d.extent(1)}); };
  const Tensor of_runs[] = {of_a_run(), of_a_run(), of_a_run(), of_a_run()};
  const Tensor dnormed = arena.make(d.dtype(), d.shape());
  for_each_run(where, saved.softmax, heads_, [&](const Run& run) {
    const auto scratch_rows = [&](int i) { return of_runs[i].rows(0, run.rows); };
    const Tensor dmixed = scratch_rows(0), dq = scratch_rows(1), dk = scratch_rows(2), dv = scratch_rows(3);
    linear_backward(weights_.o, run.of(saved.mixed), run.of(d), 0, dmixed, arena);
    attention_backward(run.of(saved.q), run.of(saved.k), run.of(saved.v), run.of(saved.mixed), run.softmax,
                       run.documents, heads_, dmixed, dq, dk, dv, arena, *stream_);
    rope(dq, heads_, cosine, sine, run.positions, true, *stream_);
    rope(dk, heads_, cosine, sine, run.positions, true, *stream_);
    const Tensor x = run.of(saved.normed), dx = run.of(dnormed);
    linear_backward(weights_.q, x, dq, 0, dx, arena);
    linear_backward(weights_.k, x, dk, 1, dx, arena);
    linear_backward(weights_.v, x, dv, 1, dx, arena);
  });
  rms_norm_backward(saved.h, weights_.norm.value, saved.inverse_rms, dnormed, d, weights_.norm.gradient, arena,
                    *stream_);
}

}  // namespace coe
