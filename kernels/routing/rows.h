#pragma once

#include <span>

#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// out[i] = x[index[i]]: x [T, D], index [n] int32, out [n, D].
void gather_rows(const Tensor& x, const Tensor& index, const Tensor& out);

/// sum[t] = sum over j in [offsets[t], offsets[t + 1]) of w[j] rows[j], in ascending j; a nullptr adds nothing. rows
/// [choices] point at D floats each, offsets [T + 1] int32, w [choices], sum [T, D]; w may be an empty tensor:
/// weight 1.
void combine_rows(std::span<const float* const> rows, const Tensor& offsets, const Tensor& w, const Tensor& sum);

/// y = beta y + x, element by element, same shapes; beta 0 or any number.
void add(const Tensor& x, float beta, const Tensor& y);
/// The same on any device.
void add(const Tensor& x, float beta, const Tensor& y, const Stream& stream);

namespace cuda {

/// gather_rows(), add() on a CUDA stream: fp32 or bf16, all of one dtype; an index is the caller's promise.
void gather_rows(const Tensor& x, const Tensor& index, const Tensor& out, const Stream& stream);
void add(const Tensor& x, float beta, const Tensor& y, const Stream& stream);

/// Where rows of this rank's choices stand: choice j, which belongs to token t where offsets[t] <= j < offsets[t + 1],
/// has row `row[j]` of the block of `holder[j]`; both are -1 where the choice was dropped. int32, device memory.
struct RowPlaces {
  Tensor offsets;  ///< [T + 1]
  Tensor holder;   ///< [choices]
  Tensor row;      ///< [choices]
};
/// The blocks of all holders, as int64 addresses in device memory: of rows of D elements each, and of one float beside
/// each row. Blocks begin at multiples of 16 bytes; `scalars` is empty where none travels.
struct RowBlocks {
  Tensor rows;     ///< [holders]
  Tensor scalars;  ///< [holders]
};

/// Writes row x[t] of x [T, D], and scalar[j] of scalar [choices] where blocks.scalars is not empty, to the place of
/// every choice j of token t. Rows in the blocks have the dtype of x.
void scatter_rows(const Tensor& x, const Tensor& scalar, const RowPlaces& places, const RowBlocks& blocks,
                  const Stream& stream);
/// out[t] = sum over the choices j of token t, in ascending j, of w[j] times the row at its place, then + shared[t],
/// then + residual[t]; in fp32, rounded once. out, shared, residual [T, D] and the rows are of one dtype; shared,
/// residual and w (weight 1) may be empty; out may be shared or residual. `lost` int32 [1] as route_topk() sets
/// it, or empty: out becomes NaN where a token was lost.
void combine_rows(const RowBlocks& blocks, const RowPlaces& places, const Tensor& w, const Tensor& shared,
                  const Tensor& residual, const Tensor& lost, const Tensor& out, const Stream& stream);
/// Rows begin[g] to end[g] of x [n, D] become zeros for every run g, and in scalar [n] what stands beside them, unless
/// it is empty; begin, end int32 [runs] in device memory.
void clear_runs_of_rows(const Tensor& x, const Tensor& scalar, const Tensor& begin, const Tensor& end,
                        const Stream& stream);
/// scalar[j] of scalar [choices] = the float beside the row at the place of choice j, 0 where it was dropped.
void collect_scalars(const RowBlocks& blocks, const RowPlaces& places, const Tensor& scalar, const Stream& stream);

}  // namespace cuda

}  // namespace coe
