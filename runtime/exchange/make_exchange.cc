#include "runtime/exchange/make_exchange.h"

#include "kernels/memory/error.h"
#include "runtime/exchange/message_exchange.h"
#include "runtime/exchange/one_copy_exchange.h"
#include "runtime/exchange/partial_sums_exchange.h"
#include "runtime/exchange/stream_exchange.h"

namespace coe {

std::unique_ptr<Exchange> make_exchange(ExchangeOrder order, Group group, const RowKind& rows, const FlightHint& hint,
                                        const Stream& stream) {
  if (stream.device() != kCpu) {
    if (order != ExchangeOrder::kExact) fail(ErrorCode::kInternal, "exchange: a device adds up in the exact order");
    if (group.messages != nullptr) return std::make_unique<MessageExchange>(group, rows.hidden, rows.dtype, stream);
    return std::make_unique<StreamExchange>(group, rows.hidden, rows.dtype, stream, hint);
  }
  if (order == ExchangeOrder::kPartialSums) return std::make_unique<PartialSumsExchange>(group, rows.hidden);
  return std::make_unique<OneCopyExchange>(group, rows.hidden, hint);
}

}  // namespace coe
