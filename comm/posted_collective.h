#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "comm/task.h"
#include "comm/wait.h"

namespace coe {

/// A collective that goes on while its ranks do something else; begins again when it is done, without allocating. What
/// it sends and receives stays where it is until then. Called by every rank of the group with sizes that fit together.
class PostedCollective {
 public:
  /// Every rank's `mine` (same size everywhere) is gathered into `all`, in rank order.
  void all_gather(const Group& group, std::span<const std::byte> mine, std::span<std::byte> all, const Phase& phase);
  /// Blocks of `block` bytes: rank r's `mine` has counts[r] of them, `all` those of all ranks in rank order.
  void all_gather_uneven(const Group& group, std::size_t block, std::span<const std::byte> mine,
                         std::span<std::byte> all, std::span<const std::size_t> counts, const Phase& phase);
  /// This rank's send_counts[p] blocks, laid out in rank order, go to rank p; receive_counts[p] come from it.
  void all_to_all(const Group& group, std::size_t block, std::span<const std::byte> send,
                  std::span<const std::size_t> send_counts, std::span<std::byte> receive,
                  std::span<const std::size_t> receive_counts, const Phase& phase);

  class Done : public Need<Done> {
   public:
    explicit Done(PostedCollective& collective) : collective_(&collective) {}
    /// Throws what wait() throws.
    void meet() { wait(collective_->group_, collective_->ticket_, collective_->phase_); }
    void take() {}

   private:
    PostedCollective* collective_;
  };
  Done done() { return Done(*this); }
  /// Takes back what was posted, where nobody waited for it to the end: the group is then of no further use but to
  /// abort.
  void give_up() noexcept;

 private:
  /// One piece a rank of each, in rank order: out_ and in_ become blocks of these sizes.
  void lay_out(std::span<Piece> pieces, std::span<std::byte> bytes, std::size_t block,
               std::span<const std::size_t> counts);
  void post(const Group& group, const Phase& phase);

  Group group_;
  Phase phase_;
  std::vector<Piece> out_, in_;  ///< [R]
  std::vector<Message> sends_, receives_;
  Ticket ticket_;
};

}  // namespace coe
