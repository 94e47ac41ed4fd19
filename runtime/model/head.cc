#include "runtime/model/head.h"

#include <algorithm>

#include "kernels/decoder/cross_entropy.h"
#include "kernels/decoder/rms_norm.h"
#include "kernels/memory/copy.h"
#include "kernels/products/linear.h"

namespace coe {
namespace {

/// Logits that a device computes at a time: they stay in a quarter of a gigabyte.
constexpr std::int64_t kLogitsAtOnce = std::int64_t{1} << 26;

/// Calls work(first, count) for runs of at most `each` of `rows` rows.
template <class Work>
void for_each_run(std::int64_t rows, std::int64_t each, const Work& work) {
  for (std::int64_t first = 0; first < rows; first += each) work(first, std::min(each, rows - first));
}

}  // namespace

std::int64_t Head::rows_at_once(std::int64_t sequence) const {
  if (norm_.value.on_host()) return sequence;
  return std::max<std::int64_t>(kLogitsAtOnce / projection_.value.extent(0), 1);
}

Head::Normed Head::normed(const Tensor& h, Arena& arena) const {
  const Normed normed{arena.make(h.dtype(), h.shape()), arena.make<float>({h.extent(0)})};
  rms_norm(h, norm_.value, norm_eps_, normed.rows, normed.inverse_rms, *stream_);
  return normed;
}

void Head::logits(const Tensor& h, std::int64_t length, const Tensor& logits, Arena& arena) const {
  ArenaScope scratch(arena);
  const Tensor x = normed(h, arena).rows;
  for_each_run(h.extent(0), rows_at_once(length), [&](std::int64_t first, std::int64_t count) {
    linear(x.rows(first, count), projection_.value, logits.rows(first, count), arena, *stream_);
  });
}

void Head::add_loss(const Tensor& h, const Tensor& labels, std::int64_t length, const Tensor& loss,
                    Arena& arena) const {
  ArenaScope scratch(arena);
  const Tensor x = normed(h, arena).rows;
  const std::int64_t each = std::min(rows_at_once(length), h.extent(0));
  const Tensor all = arena.make<float>({each, projection_.value.extent(0)});
  for_each_run(h.extent(0), each, [&](std::int64_t first, std::int64_t count) {
    const Tensor logits = all.rows(0, count);
    linear(x.rows(first, count), projection_.value, logits, arena, *stream_);
    cross_entropy(logits, labels.rows(first, count), loss, arena, *stream_);
  });
}

void Head::backward(const Tensor& h, const Tensor& labels, std::int64_t length, float scale, const Tensor& loss,
                    const Tensor& d, Arena& arena) const {
  ArenaScope scratch(arena);
  const Normed x = normed(h, arena);
  const Tensor dnormed = arena.make(h.dtype(), h.shape());
  const std::int64_t each = std::min(rows_at_once(length), h.extent(0));
  const Shape shape{each, projection_.value.extent(0)};
  const Tensor all = arena.make<float>(shape);
  const Tensor all_gradients = h.dtype() == DType::kF32 ? all : arena.make(h.dtype(), shape);
  for_each_run(h.extent(0), each, [&](std::int64_t first, std::int64_t count) {
    const Tensor rows = x.rows.rows(first, count), logits = all.rows(0, count);
    const Tensor gradients = all_gradients.rows(0, count);
    linear(rows, projection_.value, logits, arena, *stream_);
    cross_entropy_backward(logits, labels.rows(first, count), scale, gradients, loss, arena, *stream_);
    linear_weight_gradient(gradients, rows, projection_.gradient, arena, *stream_);
    linear_input_gradient(gradients, projection_.value, 0, dnormed.rows(first, count), arena, *stream_);
  });
  clear(d, *stream_);
  rms_norm_backward(h, norm_.value, x.inverse_rms, dnormed, d, norm_.gradient, arena, *stream_);
}

}  // namespace coe
