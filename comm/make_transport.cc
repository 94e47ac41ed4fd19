#include "comm/make_transport.h"

#include <array>
#include <charconv>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "comm/local_transport.h"
#include "comm/mpi_transport.h"

namespace coe {
namespace {

/// The variable's number, or -1 where it is not set or no number.
int number_in_environment(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return -1;
  int number = -1;
  const std::string_view digits = text;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return error == std::errc{} && end == digits.data() + digits.size() ? number : -1;
}

struct Launch {
  int ranks = 1, rank = 0;
};

/// Open MPI's mpirun, launchers that speak PMI, and srun --mpi=pmix, in this order; both numbers must be there, since a
/// Slurm shell has SLURM_NTASKS too.
Launch launch_in_environment() {
  constexpr std::array<std::array<const char*, 2>, 3> kVariables = {
      {{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"}, {"PMI_SIZE", "PMI_RANK"}, {"SLURM_NTASKS", "PMIX_RANK"}}};
  for (const auto& [size, rank] : kVariables) {
    const Launch launch{number_in_environment(size), number_in_environment(rank)};
    if (launch.rank >= 0 && launch.rank < launch.ranks) return launch;
  }
  return {};
}

/// Keeps the first exception of several threads.
class FirstFailure {
 public:
  void keep(std::exception_ptr failure) {
    const std::lock_guard lock(mutex_);
    if (failure_ == nullptr) failure_ = std::move(failure);
  }
  void rethrow() const {
    if (failure_ != nullptr) std::rethrow_exception(failure_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr failure_;
};

void run_rank(Transport& transport, const std::function<void(Transport&)>& body, FirstFailure& first) {
  // Kept before the others hear of it: what they throw then is a consequence.
  const auto give_notice = [&](const Error& error) {
    first.keep(std::current_exception());
    transport.abort(error);
  };
  try {
    body(transport);
  } catch (const Error& error) {
    give_notice(error);
  } catch (const std::exception& error) {
    give_notice(Error(ErrorCode::kInternal, error.what()));
  } catch (...) {
    give_notice(Error(ErrorCode::kInternal, "an exception of unknown type"));
  }
}

}  // namespace

std::span<const Backend> backends() {
  static const std::array<Backend, 2> kBackends = {Backend{"local", ""}, Backend{"mpi", mpi_missing()}};
  return kBackends;
}

std::unique_ptr<Transport> make_transport(std::string_view backend, const TransportOptions& options) {
  if (backend == "local") return make_lone_transport(options.deadline);
  if (backend == "mpi") return make_mpi_transport(options);
  fail(ErrorCode::kBadInput, "transport: '", backend, "' is unknown, must be local or mpi");
}

void run_local_ranks(int ranks, const std::function<void(Transport&)>& body, std::chrono::milliseconds deadline) {
  LocalHub hub(ranks, deadline);
  FirstFailure first;
  std::vector<std::unique_ptr<Transport>> transports;
  transports.reserve(static_cast<std::size_t>(ranks));
  for (int rank = 0; rank < ranks; ++rank) transports.push_back(hub.connect(rank));
  {
    std::vector<std::jthread> threads;
    threads.reserve(transports.size());
    for (const auto& transport : transports) {
      threads.emplace_back([&] { run_rank(*transport, body, first); });
    }
  }
  first.rethrow();
}

int launched_ranks() { return launch_in_environment().ranks; }

bool launched_by_mpi() { return launch_in_environment().ranks > 1; }

int launched_rank() { return launch_in_environment().rank; }

int launched_local_rank() {
  for (const char* variable : {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"}) {
    if (const int number = number_in_environment(variable); number >= 0) return number;
  }
  return 0;
}

}  // namespace coe
