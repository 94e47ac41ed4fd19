#pragma once

#include <cstdint>
#include <memory>

#include "comm/group.h"
#include "runtime/config/config.h"
#include "runtime/exchange/exchange.h"

namespace coe {

/// The fastest Exchange that adds up in this order. Room for the hint's rows is made at once for the exact order, in
/// the first flights for partial sums. Collective over `group`, the expert-parallel group.
std::unique_ptr<Exchange> make_exchange(ExchangeOrder order, Group group, std::int64_t hidden,
                                        const FlightHint& hint = {});

}  // namespace coe
