#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "comm/transport.h"
#include "comm/transport_options.h"

namespace coe {

/// One way to connect ranks, as make_transport lists it.
struct Backend {
  std::string_view name;     ///< "local", "mpi"
  std::string_view missing;  ///< Empty, or one sentence: why this build does not have it.
};

/// Every backend that the project knows, those that this build lacks included.
std::span<const Backend> backends();

/// This process's rank of the job on a launched backend ("mpi"), or the one rank of a job of its own ("local").
/// Throws kBadInput for a name that backends() does not list and for one that this build lacks.
std::unique_ptr<Transport> make_transport(std::string_view backend, const TransportOptions& options = {});

/// Runs `body` on `ranks` threads of this process, each with its Transport of one local group; returns when all have
/// ended. The first failure is passed to the other ranks (their waits end) and rethrown here.
void run_local_ranks(int ranks, const std::function<void(Transport&)>& body,
                     std::chrono::milliseconds deadline = kDefaultDeadline);

/// This process as a rank of the job that a launcher started, else as the one rank of a job of its own. Throws
/// kBadInput where launcher and MPI do not meet, before MPI starts where that can be seen.
std::unique_ptr<Transport> join_job(const TransportOptions& options = {});

}  // namespace coe
