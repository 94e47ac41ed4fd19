#pragma once

#include <memory>
#include <string_view>

#include "comm/transport.h"
#include "comm/transport_options.h"

namespace coe {

/// Empty, or one sentence: why this build has no MPI.
std::string_view mpi_missing();

/// This process's rank of the MPI job; starts MPI where nobody has, and then ends it in its destructor. What cannot be
/// polled (MPI_Init, MPI_Comm_split, MPI_Finalize) is reported to options.on_hang after options.set_up().
/// Throws kSystem where MPI does not start, kPeer where its ranks do not reach one another, kBadInput where this build
/// has no MPI.
std::unique_ptr<Transport> make_mpi_transport(const TransportOptions& options = {});

}  // namespace coe
