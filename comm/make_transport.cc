#include "comm/make_transport.h"

#include <array>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "comm/launch.h"
#include "comm/local_transport.h"
#include "comm/mpi_transport.h"

namespace coe {
namespace {

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

std::unique_ptr<Transport> join_job(const TransportOptions& options) {
  const Launch launch = launch_in_environment();
  if (launch.ranks == 1) return make_transport("local", options);
  if (!launch.reaches_mpi) check_launch(launch, 1);
  std::unique_ptr<Transport> world = make_transport("mpi", options);
  check_launch(launch, world->size());
  return world;
}

}  // namespace coe
