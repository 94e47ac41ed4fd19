#pragma once

#include <string>
#include <string_view>

namespace coe {

/// What a launcher's environment says of this process; asks nobody and starts nothing.
struct Launch {
  std::string_view launcher;  ///< "mpirun", "a PMI launcher", "srun"; empty without one
  int ranks = 1, rank = 0;
  int local_rank = 0;       ///< among the ranks of its machine
  bool reaches_mpi = true;  ///< false where the launcher offers no PMI: MPI would take each rank for a job of its own
};

/// Open MPI's mpirun, launchers that speak PMI, srun with PMIx, srun without either; the first that says both numbers.
Launch launch_in_environment();

/// True where a launcher started this process as one of several ranks.
bool launched_by_mpi();
/// How many ranks the launcher started, 1 without one.
int launched_ranks();
/// This process's number among those of its machine, 0 without a launcher.
int launched_local_rank();
/// This process's rank, 0 without a launcher: who speaks before MPI has started.
int launched_rank();

/// Throws kBadInput where MPI, which says that the job has `ranks` ranks, and the launcher do not mean the same job.
void check_launch(const Launch& launch, int ranks);

}  // namespace coe
