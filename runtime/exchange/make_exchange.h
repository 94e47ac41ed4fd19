#pragma once

#include <cstdint>
#include <memory>

#include "comm/group.h"
#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"
#include "runtime/config/config.h"
#include "runtime/exchange/exchange.h"

namespace coe {

/// What the rows are that travel.
struct RowKind {
  std::int64_t hidden = 0;
  DType dtype = DType::kF32;  ///< on the host fp32
};

/// The fastest Exchange that adds up in this order between ranks whose streams are of one kind; on a device in the
/// exact order alone. Room for the hint's rows is made at once for the exact order, in the first flights for partial
/// sums. Views the stream. Collective over `group`, the expert-parallel group.
std::unique_ptr<Exchange> make_exchange(ExchangeOrder order, Group group, const RowKind& rows,
                                        const FlightHint& hint = {}, const Stream& stream = host_stream());

}  // namespace coe
