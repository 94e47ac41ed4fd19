#include "launcher/pinning.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <utility>

#include "comm/collectives.h"
#include "comm/make_transport.h"
#include "comm/own_cores.h"
#include "kernels/memory/error.h"
#include "runtime/layer/thread_team.h"

namespace coe {
namespace {

/// The first rank with fewer cores than threads says so. Collective.
void warn_of_too_few(int cores, int threads, Transport& world) {
  std::vector<int> all(static_cast<std::size_t>(world.size()));
  all_gather<int>({&world}, std::array{cores}, all, {"dealing cores"});
  const auto first = std::ranges::find_if(all, [&](int one) { return one < threads; });
  if (first - all.begin() != world.rank()) return;
  const std::string more =
      launched_by_mpi() ? fmt::format("; mpirun --map-by slot:PE={} or --bind-to none lets it use more", threads) : "";
  fmt::print(stderr, "coe: rank {} has {} threads on {} core{} of its own{}\n", world.rank(), threads, cores,
             cores == 1 ? "" : "s", more);
}

}  // namespace

PinnedTeam::PinnedTeam(const Topology* topology, std::vector<int> processors)
    : topology_(topology), processors_(std::move(processors)) {
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
    if (unbound) fmt::print(stderr, "coe: threads are not bound to cores: this build has no hwloc (libhwloc-dev)\n");
    return {nullptr, {}};
  }
  OwnCores own = own_cores(*topology_, world, threads_);
  warn_of_too_few(own.cores, threads_, world);
  return {&*topology_, std::move(own.processors)};
}

}  // namespace coe
