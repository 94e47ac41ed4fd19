#pragma once

#include <cstdint>
#include <memory>

#include "runtime/config/config.h"
#include "runtime/exchange/exchange.h"

namespace coe {

/// The fastest Exchange that adds up in this order. `slots` is how many dispatches can hold their rows at once,
/// `in_flight` how many of them can have results that are not yet taken. `rows` is how many a rank is expected to get
/// in one dispatch, 0 where that is not known: room for them is made at once for the exact order, in the first
/// exchanges for partial sums. Collective over `group`, the expert-parallel group.
std::unique_ptr<Exchange> make_exchange(ExchangeOrder order, Group group, std::int64_t hidden, int slots, int in_flight,
                                        std::int64_t rows = 0);

}  // namespace coe
