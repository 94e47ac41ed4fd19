#pragma once

#include <cstdint>
#include <span>

#include "kernels/memory/arena.h"
#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// How many rows each rank has for each expert, on any device; views memory. What a host reads of it, the host must be
/// able to read.
class RowTable {
 public:
  /// rows int32 [R, N].
  explicit RowTable(const Tensor& rows);

  const Tensor& rows() const { return rows_; }
  int ranks() const { return static_cast<int>(rows_.extent(0)); }
  std::int64_t experts() const { return rows_.extent(1); }

  const std::int32_t* of(int rank) const { return rows_.data<std::int32_t>() + rank * experts(); }
  /// An expert's rows of the ranks before `rank`.
  std::int64_t before(int rank, std::int64_t expert) const;
  /// An expert's rows of all ranks.
  std::int64_t total(std::int64_t expert) const { return before(ranks(), expert); }
  /// The same of every expert on any device: int64 [N] on the host, int32 elsewhere.
  Tensor totals(Arena& arena, const Stream& stream) const;

 private:
  Tensor rows_;
};

/// The sums of several tables' totals() of the same experts, of whatever type these are.
Tensor add_up_totals(std::span<const Tensor> totals, Arena& arena, const Stream& stream);

}  // namespace coe
