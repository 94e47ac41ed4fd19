#include "comm/launch.h"

#include <array>
#include <charconv>
#include <cstdlib>

#include "kernels/memory/error.h"

namespace coe {
namespace {

/// Where a launcher says how many ranks there are, and which this is.
struct Words {
  std::string_view launcher;
  const char *ranks, *rank, *local_rank;
};

/// srun says its step's number of tasks in every case, and a batch script has none: only a task can be a rank.
constexpr std::array<Words, 4> kWords = {
    {{"mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"},
     {"a PMI launcher", "PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID"},
     {"srun", "SLURM_NTASKS", "PMIX_RANK", "SLURM_LOCALID"},
     {"srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID"}}};

/// The variable's number, or -1 where it is not set or no number.
int number_in_environment(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return -1;
  int number = -1;
  const std::string_view digits = text;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return error == std::errc{} && end == digits.data() + digits.size() ? number : -1;
}

int local_rank_of(const Words& words) {
  for (const char* variable : {words.local_rank, "SLURM_LOCALID"})
    if (const int number = number_in_environment(variable); number >= 0) return number;
  return 0;
}

/// Whether anything here leads to a server of PMI, by which MPI finds the other ranks.
bool offers_pmi() {
  for (const char* variable : {"PMIX_RANK", "PMIX_NAMESPACE", "PMI_RANK", "PMI_FD", "PMI_PORT", "PALS_RANKID"})
    if (std::getenv(variable) != nullptr) return true;
  return false;
}

}  // namespace

Launch launch_in_environment() {
  for (const Words& words : kWords) {
    const int ranks = number_in_environment(words.ranks), rank = number_in_environment(words.rank);
    if (rank < 0 || rank >= ranks) continue;
    const bool by_mpirun = &words == kWords.data();
    return {words.launcher, ranks, rank, local_rank_of(words), by_mpirun || ranks == 1 || offers_pmi()};
  }
  return {};
}

bool launched_by_mpi() { return launched_ranks() > 1; }

int launched_ranks() { return launch_in_environment().ranks; }

int launched_local_rank() { return launch_in_environment().local_rank; }

int launched_rank() { return launch_in_environment().rank; }

void check_launch(const Launch& launch, int ranks) {
  check(
      launch.ranks == ranks, launch.launcher, " started ", launch.ranks, " ranks, MPI knows of ", ranks,
      ": they do not meet, and each rank would run alone; start with the mpirun of the MPI that this program was built "
      "with, or with srun --mpi=pmix");
}

}  // namespace coe
