#include "comm/mpi_transport.h"

namespace coe {

std::string_view mpi_missing() { return "this build has no MPI: install libopenmpi-dev and build with -DCOE_MPI=ON"; }

std::unique_ptr<Transport> make_mpi_transport(const TransportOptions& /*options*/) {
  fail(ErrorCode::kBadInput, "mpi transport: ", mpi_missing());
}

}  // namespace coe
