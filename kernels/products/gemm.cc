#include "kernels/products/gemm.h"

#include <algorithm>
#include <array>

#include "kernels/memory/buffer.h"
#include "kernels/products/gemm_tile.h"

namespace coe {
namespace {

/// A block of op(b) of so many rows and columns is packed at once: it stays in the second-level cache.
constexpr std::int64_t kBlockInner = 384, kPanel = kGemmVectors * kGemmLanes, kBlockColumns = 15 * kPanel;

/// A block of op(b) [inner, columns] as panels of kPanel columns, the last one of as many vectors as it needs:
/// [panel][k][column], zeros behind the last column.
template <class Float>
struct Block {
  Float* data;
  std::int64_t inner, columns;

  Float* panel(std::int64_t first_column) const { return data + first_column * inner; }
};
using PackedBlock = Block<const float>;

/// Where a block stands in op(b), and behind how many floats of the blocks before it.
struct BlockPlace {
  std::int64_t column, k, columns, inner, place;
};

std::int64_t vectors_of(std::int64_t columns) { return (columns + kGemmLanes - 1) / kGemmLanes; }

/// Element (k, column) of op(b) stands at data[k inner_step + column column_step].
struct Operand {
  const float* data;
  std::int64_t inner_step, column_step;

  const float* at(std::int64_t k, std::int64_t column) const { return data + k * inner_step + column * column_step; }
};

/// One vector of columns of a panel, from rows of op(b).
void pack_rows(const Operand& b, std::int64_t inner, std::int64_t columns, float* to, std::int64_t step) {
  for (std::int64_t k = 0; k < inner; ++k, to += step) {
    const float* const from = b.at(k, 0);
    if (columns >= kGemmLanes) {
      store_lanes(load_lanes(from), to);
    } else {
      std::fill(std::copy_n(from, columns, to), to + kGemmLanes, 0.0F);
    }
  }
}

/// The same where columns of op(b) are contiguous.
void pack_columns(const Operand& b, std::int64_t inner, std::int64_t columns, float* to, std::int64_t step) {
  std::int64_t k = 0;
  for (; columns >= kGemmLanes && k + kGemmLanes <= inner; k += kGemmLanes) {
    std::array<Lanes, kGemmLanes> square;
    for (int i = 0; i < kGemmLanes; ++i) square[static_cast<std::size_t>(i)] = load_lanes(b.at(k, i));
    transpose_lanes(square);
    for (int i = 0; i < kGemmLanes; ++i) store_lanes(square[static_cast<std::size_t>(i)], to + (k + i) * step);
  }
  for (; k < inner; ++k) {
    for (std::int64_t i = 0; i < kGemmLanes; ++i) to[k * step + i] = i < columns ? *b.at(k, i) : 0.0F;
  }
}

void pack(const Operand& b, const Block<float>& block) {
  for (std::int64_t first = 0; first < block.columns; first += kPanel) {
    const std::int64_t vectors = vectors_of(std::min(kPanel, block.columns - first)), step = vectors * kGemmLanes;
    for (std::int64_t v = 0; v < vectors; ++v) {
      const std::int64_t column = first + v * kGemmLanes;
      const std::int64_t columns = std::min<std::int64_t>(kGemmLanes, block.columns - column);
      const Operand from{b.at(0, column), b.inner_step, b.column_step};
      float* const to = block.panel(first) + v * kGemmLanes;
      if (b.column_step == 1) {
        pack_rows(from, block.inner, columns, to, step);
      } else {
        pack_columns(from, block.inner, columns, to, step);
      }
    }
  }
}

using Tile = void (*)(const TileRows&, const float*, std::int64_t, bool, float*, std::int64_t);

template <bool Transposed, int... Index>
constexpr auto make_tiles(std::integer_sequence<int, Index...> /*all*/) {
  return std::array<Tile, sizeof...(Index)>{
      gemm_tile<1 + Index / kGemmVectors, 1 + Index % kGemmVectors, Transposed>...};
}

Tile tile_of(std::int64_t rows, std::int64_t vectors, bool transposed) {
  constexpr auto kAll = std::make_integer_sequence<int, kGemmRows * kGemmVectors>();
  static constexpr auto kPlain = make_tiles<false>(kAll), kTransposed = make_tiles<true>(kAll);
  return (transposed ? kTransposed : kPlain)[static_cast<std::size_t>((rows - 1) * kGemmVectors + vectors - 1)];
}

/// A tile whose last vector is not full: by way of memory that has room for it.
void run_ragged(Tile tile, const TileRows& a, const float* panel, std::int64_t inner, bool accumulate,
                const Matrix& out) {
  std::array<float, kGemmRows * kPanel> whole;
  tile(a, panel, inner, false, whole.data(), kPanel);
  for (std::int64_t r = 0; r < out.rows; ++r) {
    const float* const from = whole.data() + r * kPanel;
    float* const to = out.data + r * out.stride;
    for (std::int64_t c = 0; c < out.columns; ++c) to[c] = accumulate ? to[c] + from[c] : from[c];
  }
}

/// The rows of the next tile, into the second-level cache.
void prefetch_rows(const TileRows& a, bool transposed, std::int64_t row, std::int64_t rows, std::int64_t inner) {
  if (transposed) return;
  constexpr std::int64_t kLine = 64 / sizeof(float);
  for (const std::int64_t end = std::min<std::int64_t>(rows, row + kGemmRows); row < end; ++row) {
    const float* const from = a.data + row * a.row_step;
    for (std::int64_t k = 0; k < inner; k += kLine) __builtin_prefetch(from + k, 0, 2);
  }
}

/// out (+)= op(a) block, op(a) as many columns as the block has rows; in tiles of nearly as many rows each, as those of
/// few rows reach less of the peak.
void multiply_block(const TileRows& a, bool transposed, const PackedBlock& block, bool accumulate, const Matrix& out) {
  std::int64_t tiles = (out.rows + kGemmRows - 1) / kGemmRows, rows = 0;
  for (std::int64_t row = 0; row < out.rows; row += rows, --tiles) {
    rows = (out.rows - row) / tiles;
    prefetch_rows(a, transposed, row + rows, out.rows, block.inner);
    const TileRows tile_rows{a.data + row * a.row_step, a.row_step, a.inner_step};
    for (std::int64_t column = 0; column < out.columns; column += kPanel) {
      const std::int64_t columns = std::min(kPanel, out.columns - column);
      const Tile tile = tile_of(rows, vectors_of(columns), transposed);
      float* const to = out.data + row * out.stride + column;
      if (columns % kGemmLanes == 0) {
        tile(tile_rows, block.panel(column), block.inner, accumulate, to, out.stride);
      } else {
        run_ragged(tile, tile_rows, block.panel(column), block.inner, accumulate, {to, rows, columns, out.stride});
      }
    }
  }
}

/// Memory of the calling thread for one packed block.
float* block_memory() {
  constexpr std::size_t kBytes = kBlockInner * kBlockColumns * sizeof(float);
  thread_local const Buffer mine(kBytes);
  return reinterpret_cast<float*>(mine.data());
}

void clear(const Matrix& out) {
  for (std::int64_t row = 0; row < out.rows; ++row) std::fill_n(out.data + row * out.stride, out.columns, 0.0F);
}

/// Calls visit(block's first column, its first k, its size, its place in op(b) packed as a whole) for every block, in
/// ascending k for each of its columns.
template <class Visit>
void for_each_block(std::int64_t inner, std::int64_t columns, const Visit& visit) {
  std::int64_t place = 0;
  for (std::int64_t column = 0; column < columns; column += kBlockColumns) {
    const std::int64_t width = std::min(kBlockColumns, columns - column);
    for (std::int64_t k = 0; k < inner; k += kBlockInner) {
      const std::int64_t depth = std::min(kBlockInner, inner - k);
      visit(BlockPlace{column, k, width, depth, place});
      place += vectors_of(width) * kGemmLanes * depth;
    }
  }
}

Operand operand_of(const Matrix& b, Transpose transpose) {
  return transpose == Transpose::kYes ? Operand{b.data, 1, b.stride} : Operand{b.data, b.stride, 1};
}

/// op(a) and the outputs of a product.
struct Product {
  Product(const Matrix& a, Transpose transpose_a, float beta, const Matrix& into)
      : transposed(transpose_a == Transpose::kYes),
        inner(transposed ? a.rows : a.columns),
        rows(transposed ? TileRows{a.data, 1, a.stride} : TileRows{a.data, a.stride, 1}),
        accumulate(beta != 0.0F),
        out(into) {
    if (inner == 0 && !accumulate) clear(out);
  }

  void multiply(const BlockPlace& at, const PackedBlock& block) const {
    multiply_block({rows.data + at.k * rows.inner_step, rows.row_step, rows.inner_step}, transposed, block,
                   at.k > 0 || accumulate, {out.data + at.column, out.rows, at.columns, out.stride});
  }

  bool transposed;
  std::int64_t inner;
  TileRows rows;
  bool accumulate;
  Matrix out;
};

}  // namespace

void gemm(const Matrix& a, Transpose transpose_a, const Matrix& b, Transpose transpose_b, float beta,
          const Matrix& out) {
  const Product product(a, transpose_a, beta, out);
  if (out.rows == 0) return;
  const Operand columns = operand_of(b, transpose_b);
  for_each_block(product.inner, out.columns, [&](const BlockPlace& at) {
    const Block<float> block{block_memory(), at.inner, at.columns};
    pack({columns.at(at.k, at.column), columns.inner_step, columns.column_step}, block);
    product.multiply(at, {block.data, block.inner, block.columns});
  });
}

std::int64_t packed_size(std::int64_t inner, std::int64_t columns) { return inner * vectors_of(columns) * kGemmLanes; }

PackedMatrix pack_matrix(const Matrix& b, Transpose transpose_b, float* memory) {
  const bool transposed = transpose_b == Transpose::kYes;
  const PackedMatrix packed{memory, transposed ? b.columns : b.rows, transposed ? b.rows : b.columns};
  const Operand columns = operand_of(b, transpose_b);
  for_each_block(packed.inner, packed.columns, [&](const BlockPlace& at) {
    pack({columns.at(at.k, at.column), columns.inner_step, columns.column_step},
         {memory + at.place, at.inner, at.columns});
  });
  return packed;
}

void gemm(const Matrix& a, Transpose transpose_a, const PackedMatrix& b, float beta, const Matrix& out) {
  const Product product(a, transpose_a, beta, out);
  for_each_block(b.inner, b.columns, [&](const BlockPlace& at) {
    product.multiply(at, {b.data + at.place, at.inner, at.columns});
  });
}

}  // namespace coe
