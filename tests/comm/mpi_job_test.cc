#include "comm/mpi_job.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernels/memory/error.h"
#include "tests/ranks.h"

namespace coe {
namespace {

TEST(MpiJobOnRanks, ACopyOfTheWorldHasItsRanksAndMessagesOfItsOwn) {
  if (!ranks_are_processes()) GTEST_SKIP() << "ranks are threads";
  const Communicator copy(duplicate_world(kDefaultDeadline));
  int ranks = 0, order = MPI_UNEQUAL;
  MPI_Comm_size(copy.get(), &ranks);
  MPI_Comm_compare(MPI_COMM_WORLD, copy.get(), &order);
  EXPECT_EQ(order, MPI_CONGRUENT);
  const std::vector<int> job = job_ranks_of(copy.get(), ranks);
  for (int rank = 0; rank < ranks; ++rank) EXPECT_EQ(job[static_cast<std::size_t>(rank)], rank);
}

TEST(MpiJobOnRanks, AnErrorOfMpiIsSaidInItsWords) {
  if (!ranks_are_processes()) GTEST_SKIP() << "ranks are threads";
  EXPECT_NO_THROW(check_mpi(MPI_SUCCESS, "MPI_Test"));
  try {
    check_mpi(MPI_ERR_TRUNCATE, "MPI_Test");
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kPeer);
    EXPECT_EQ(std::string(error.what()).find("mpi transport: MPI_Test: "), 0U);
  }
}

}  // namespace
}  // namespace coe
