#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "comm/group.h"
#include "kernels/memory/buffer.h"
#include "kernels/routing/rows.h"
#include "runtime/exchange/flight.h"

namespace coe {

/// Rows with a scalar each in memory that ranks of one device share, of which every rank has room for as many. Views
/// the stream.
class StreamWindow : public PostedMemory {
 public:
  /// Collective, and with the same rows everywhere.
  StreamWindow(const Group& group, std::int64_t rows, std::int64_t hidden, DType dtype, const Stream& stream);

  std::int64_t room() const { return rows_.extent(0); }
  /// This rank's own: [room, D] and fp32 [room].
  const Tensor& rows() const { return rows_; }
  const Tensor& scalar() const { return scalar_; }
  /// Where the same stand on all ranks; `scalars` is empty where none travels.
  cuda::RowBlocks blocks(bool with_scalar) const { return {row_blocks_, with_scalar ? scalar_blocks_ : Tensor()}; }
  std::size_t bytes() const { return window_->bytes(); }

 private:
  std::unique_ptr<Window> window_;
  std::vector<std::int64_t> addresses_;
  Buffer address_memory_;
  Tensor rows_, scalar_, row_blocks_, scalar_blocks_;
};

}  // namespace coe
