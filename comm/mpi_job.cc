#include "comm/mpi_job.h"

#include <array>
#include <chrono>
#include <numeric>
#include <string>
#include <thread>

#include "comm/watchdog.h"
#include "kernels/memory/error.h"

namespace coe {
namespace {

/// What hinders ranks that do not reach one another, and what to do about it.
constexpr const char* kWhatHelps =
    "; where hosts have an address in common (docker0 has 172.17.0.1 on all), name the network that they share: "
    "mpirun --mca btl_tcp_if_include 10.0.0.0/8 --mca oob_tcp_if_include 10.0.0.0/8";

}  // namespace

void check_mpi(int result, const char* call) {
  if (result == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(result, text.data(), &length);
  fail(ErrorCode::kPeer, "mpi transport: ", call, ": ", text.data());
}

MpiLife::MpiLife(const TransportOptions& options) : options_(options) {
  int started = 0, ended = 0;
  MPI_Initialized(&started);
  MPI_Finalized(&ended);
  check(ended == 0, "mpi transport: MPI has been ended in this process and cannot start again");
  owns_ = started == 0;
  if (!owns_) return;
  const Watchdog watchdog("mpi transport: MPI_Init", options.set_up(), options.on_hang);
  int provided = 0;
  const int result = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
  if (result != MPI_SUCCESS) fail(ErrorCode::kSystem, "mpi transport: MPI_Init failed with code ", result);
}

MpiLife::~MpiLife() {
  if (!owns_ || std::uncaught_exceptions() > exceptions_) return;
  const Watchdog watchdog("mpi transport: MPI_Finalize", options_.set_up(), options_.on_hang);
  MPI_Finalize();
}

Communicator::Communicator(MPI_Comm handle) : handle_(handle) {
  check_mpi(MPI_Comm_set_errhandler(handle_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
}

Communicator::~Communicator() {
  if (std::uncaught_exceptions() == exceptions_) MPI_Comm_free(&handle_);
}

MPI_Comm duplicate_world(std::chrono::milliseconds deadline) {
  using Clock = std::chrono::steady_clock;
  MPI_Comm handle = MPI_COMM_NULL;
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Comm_idup(MPI_COMM_WORLD, &handle, &request), "MPI_Comm_idup");
  const Clock::time_point end = Clock::now() + deadline;
  int done = 0;
  while (true) {
    check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Comm_idup");
    if (done != 0) return handle;
    if (Clock::now() > end) break;
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
  int rank = 0, ranks = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  fail(ErrorCode::kPeer, "mpi transport: ", name_of_rank(rank, own_place()), " does not reach all of ", ranks,
       " ranks after ", std::chrono::duration<double>(deadline).count(), " s", kWhatHelps);
}

std::vector<int> job_ranks_of(MPI_Comm communicator, int ranks) {
  MPI_Group group = MPI_GROUP_NULL, world = MPI_GROUP_NULL;
  check_mpi(MPI_Comm_group(communicator, &group), "MPI_Comm_group");
  check_mpi(MPI_Comm_group(MPI_COMM_WORLD, &world), "MPI_Comm_group");
  std::vector<int> own(static_cast<std::size_t>(ranks)), job(own.size());
  std::iota(own.begin(), own.end(), 0);
  check_mpi(MPI_Group_translate_ranks(group, ranks, own.data(), world, job.data()), "MPI_Group_translate_ranks");
  MPI_Group_free(&group);
  MPI_Group_free(&world);
  return job;
}

}  // namespace coe
