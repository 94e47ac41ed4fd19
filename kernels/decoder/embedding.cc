#include "kernels/decoder/embedding.h"

#include <algorithm>

#include "kernels/memory/error.h"

namespace coe {
namespace {

/// Checks ids [T], table [V, D] and x [T, D], then every id.
void check_embedding(const Tensor& ids, const Tensor& table, const Tensor& x) {
  expect_rank("embedding: ids", ids, 1);
  expect_rank("embedding: table", table, 2);
  expect_shape("embedding: x", x, {ids.extent(0), table.extent(1)});
  for (const std::int32_t id : ids.span<std::int32_t>()) {
    check(id >= 0 && id < table.extent(0), "embedding: id is ", id, ", must be in [0, ", table.extent(0), ")");
  }
}

}  // namespace

void embedding(const Tensor& ids, const Tensor& table, const Tensor& x) {
  check_embedding(ids, table, x);
  const std::int64_t width = table.extent(1);
  const float* from = table.data<float>();
  auto* to = x.data<float>();
  for (const std::int32_t id : ids.span<std::int32_t>()) to = std::copy_n(from + id * width, width, to);
}

void embedding_backward(const Tensor& ids, const Tensor& dx, const Tensor& dtable) {
  check_embedding(ids, dtable, dx);
  const std::int64_t width = dtable.extent(1);
  const float* from = dx.data<float>();
  auto* to = dtable.data<float>();
  for (const std::int32_t id : ids.span<std::int32_t>()) {
    float* row = to + id * width;
    for (std::int64_t i = 0; i < width; ++i) row[i] += from[i];
    from += width;
  }
}

void embedding(const Tensor& ids, const Tensor& table, const Tensor& x, const Stream& stream) {
  if (x.on_host()) return embedding(ids, table, x);
  cuda::embedding(ids, table, x, stream);
}

void embedding_backward(const Tensor& ids, const Tensor& dx, const Tensor& dtable, Arena& arena, const Stream& stream) {
  if (dx.on_host()) return embedding_backward(ids, dx, dtable);
  ArenaScope scratch(arena);
  const std::int64_t bytes = cuda::embedding_workspace_bytes(ids.elements(), dtable.extent(1));
  cuda::embedding_backward(ids, dx, dtable, arena.make<std::uint8_t>({bytes}), stream);
}

}  // namespace coe
