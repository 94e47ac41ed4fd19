#include "runtime/exchange/make_exchange.h"

#include "runtime/exchange/one_copy_exchange.h"
#include "runtime/exchange/partial_sums_exchange.h"

namespace coe {

std::unique_ptr<Exchange> make_exchange(ExchangeOrder order, Group group, std::int64_t hidden, const FlightHint& hint) {
  if (order == ExchangeOrder::kPartialSums) return std::make_unique<PartialSumsExchange>(group, hidden);
  return std::make_unique<OneCopyExchange>(group, hidden, hint);
}

}  // namespace coe
