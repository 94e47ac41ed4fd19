#include "runtime/exchange/make_exchange.h"

#include "runtime/exchange/one_copy_exchange.h"
#include "runtime/exchange/partial_sums_exchange.h"

namespace coe {

std::unique_ptr<Exchange> make_exchange(ExchangeOrder order, Group group, std::int64_t hidden, int slots, int in_flight,
                                        std::int64_t rows) {
  if (order == ExchangeOrder::kPartialSums) return std::make_unique<PartialSumsExchange>(group, hidden, in_flight);
  return std::make_unique<OneCopyExchange>(group, hidden, slots, in_flight, rows);
}

}  // namespace coe
