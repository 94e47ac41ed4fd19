#pragma once

#include <cstdint>
#include <memory>

#include "runtime/config.h"
#include "runtime/exchange.h"

namespace coe {

/// The fastest Exchange that adds up in this order. `slots` is how many dispatches can hold their rows at once,
/// `in_flight` how many of them can have results that are not yet taken. Collective over `group`, the expert-parallel
/// group.
std::unique_ptr<Exchange> make_exchange(ExchangeOrder order, Group group, std::int64_t hidden, int slots,
                                        int in_flight);

}  // namespace coe
