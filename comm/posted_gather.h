#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "comm/task.h"
#include "comm/wait.h"

namespace coe {

/// An all-gather that goes on while its ranks do something else; begins again when it is done, without allocating.
class PostedGather {
 public:
  /// What every rank's `mine` (same size everywhere) is gathered into, in rank order; both stay where they are until
  /// the gather is done. Collective.
  void post(const Group& group, std::span<const std::byte> mine, std::span<std::byte> all, const Phase& phase);

  class Done : public Need<Done> {
   public:
    explicit Done(PostedGather& gather) : gather_(&gather) {}
    /// Throws what wait() throws.
    void meet() { wait(gather_->group_, gather_->ticket_, gather_->phase_); }
    void take() {}

   private:
    PostedGather* gather_;
  };
  Done done() { return Done(*this); }

 private:
  Group group_;
  Phase phase_;
  Piece sent_;
  std::vector<Piece> received_;
  std::vector<Message> sends_, receives_;
  Ticket ticket_;
};

}  // namespace coe
