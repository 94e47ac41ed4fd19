#pragma once

#include <mpi.h>

#include <exception>
#include <optional>
#include <vector>

#include "comm/neighbours.h"
#include "comm/rank_place.h"
#include "comm/transport_options.h"

namespace coe {

/// Throws kPeer with MPI's own words unless `result` is MPI_SUCCESS.
void check_mpi(int result, const char* call);

/// MPI's life in this process, where nobody else has started it. Ended in order only when the job went well: a rank
/// that leaves by an exception must not wait for the others in MPI_Finalize; the launcher notices its exit.
class MpiLife {
 public:
  explicit MpiLife(const TransportOptions& options);
  ~MpiLife();
  MpiLife(const MpiLife&) = delete;
  MpiLife& operator=(const MpiLife&) = delete;

 private:
  TransportOptions options_;
  bool owns_ = false;
  int exceptions_ = std::uncaught_exceptions();
};

/// What all transports of one job share.
struct MpiJob {
  explicit MpiJob(const TransportOptions& chosen) : options(chosen), life(chosen) {}

  TransportOptions options;
  MpiLife life;
  std::vector<RankPlace> places;
  std::optional<Neighbours> neighbours;
};

/// A communicator of its own, so that its messages meet no others.
class Communicator {
 public:
  explicit Communicator(MPI_Comm handle);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  MPI_Comm get() const { return handle_; }

 private:
  MPI_Comm handle_;
  int exceptions_ = std::uncaught_exceptions();
};

/// The job's world as a communicator of its own. Throws kPeer where it is not there before the deadline.
MPI_Comm duplicate_world(std::chrono::milliseconds deadline);

/// The world's rank of every rank of a communicator.
std::vector<int> job_ranks_of(MPI_Comm communicator, int ranks);

}  // namespace coe
