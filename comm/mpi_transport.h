#pragma once

#include <memory>
#include <string_view>

#include "comm/transport.h"

namespace coe {

/// Empty, or one sentence: why this build has no MPI.
std::string_view mpi_missing();

/// This process's rank of the MPI job; starts MPI where nobody has, and then ends it in its destructor. Where start or
/// end take longer than kDefaultDeadline, the process says so in one line and exits with 1.
/// Throws kSystem where MPI does not start, kBadInput where this build has no MPI.
std::unique_ptr<Transport> make_mpi_transport();

}  // namespace coe
