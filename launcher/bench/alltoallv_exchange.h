#pragma once

#include <memory>

#include "comm/collectives.h"
#include "runtime/exchange/exchange.h"

namespace coe {

/// The exchange that a program without this runtime would write, to compare with: rows are packed by destination, sent
/// by MPI_Alltoallv, and unpacked by expert; the results take the same way back. One flight at a time, without scalars.
/// nullptr where the ranks are not MPI processes. Collective over the group.
std::unique_ptr<Exchange> make_alltoallv_exchange(Group group, std::int64_t hidden);

}  // namespace coe
