#include "launcher/pinning.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <utility>

#include "comm/collectives.h"
#include "comm/launch.h"
#include "comm/own_cores.h"
#include "kernels/memory/error.h"
#include "launcher/tell.h"
#include "runtime/layer/thread_team.h"

namespace coe {
namespace {

/// What would let ranks have as many cores as threads.
std::string what_helps(int threads) {
  if (!launched_by_mpi()) return "";
  return fmt::format(
      "; what helps is fewer threads (--threads), fewer ranks, or, where the machine has the cores, "
      "mpirun --map-by slot:PE={}",
      threads);
}

/// The first rank with fewer cores than threads says so. Collective.
void warn_of_too_few(const OwnCores& own, int threads, Transport& world) {
  std::vector<int> all(static_cast<std::size_t>(world.size()));
  all_gather<int>({&world}, std::array{own.cores}, all, {"dealing cores"});
  const auto first = std::ranges::find_if(all, [&](int one) { return one < threads; });
  if (first - all.begin() != world.rank()) return;
  const int works = threads_worth_having(own, threads);
  tell(fmt::format("coe: rank {} is to have {} threads, and has {} core{} of its own: it works with {}{}", world.rank(),
                   threads, own.cores, own.cores == 1 ? "" : "s", works, what_helps(threads)));
}

}  // namespace

PinnedTeam::PinnedTeam(const Topology* topology, std::vector<int> processors, int threads)
    : topology_(topology), processors_(std::move(processors)), threads_(threads) {
  if (processors_.empty()) return;
  before_ = topology_->binding();
  on_threads(static_cast<int>(processors_.size()), [this](int thread) {
    topology_->bind(std::span(processors_).subspan(static_cast<std::size_t>(thread), 1));
  });
}

PinnedTeam::~PinnedTeam() {
  if (processors_.empty()) return;
  try {
    on_threads(static_cast<int>(processors_.size()), [this](int /*thread*/) { topology_->bind(before_); });
  } catch (const Error&) {
    // The processors have gone offline: there is nothing to go back to.
  }
}

Pinning::Pinning(int threads) : threads_(threads) {
  if (threads > 1 && topology_known()) topology_.emplace();
}

PinnedTeam Pinning::pin(Transport& world) const {
  if (!topology_) {
    const bool unbound = threads_ > 1 && world.rank() == 0;
    if (unbound) tell("coe: threads are not bound to cores: this build has no hwloc (libhwloc-dev)");
    return {nullptr, {}, threads_};
  }
  OwnCores own = own_cores(*topology_, world, threads_);
  warn_of_too_few(own, threads_, world);
  const int threads = threads_worth_having(own, threads_);  // before the processors are given away
  return {&*topology_, std::move(own.processors), threads};
}

}  // namespace coe
