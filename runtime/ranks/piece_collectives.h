#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <vector>

#include "comm/group.h"
#include "comm/posted_collective.h"
#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"
#include "runtime/ranks/posted_sums.h"
#include "runtime/ranks/stream_reduction.h"

namespace coe {

/// Sums and gathers of numbers of which every rank of a group has a piece, on the way that their devices have: between
/// hosts, in memory of devices that all see, or by messages. Sums are taken in ascending rank order, but NCCL's, which
/// has an order of its own. What was begun goes on beside what the rank, or its stream, does next; by messages of the
/// hosts it waits for finish(). Views the group's and the stream.
class PieceCollectives {
 public:
  /// For at most so many numbers at a time.
  PieceCollectives(const Group& group, std::int64_t numbers, const Stream& stream)
      : group_(group), numbers_(numbers), stream_(&stream) {}
  /// Takes back what is under way: the group is then of no further use but to abort.
  ~PieceCollectives();
  PieceCollectives(const PieceCollectives&) = delete;
  PieceCollectives& operator=(const PieceCollectives&) = delete;

  /// Begins to make this rank's piece of values fp32 [R n], the pieces being in rank order, their sums over all ranks,
  /// and where it `gathers` to give them to all; else what other pieces then hold means nothing. Collective; throws
  /// what wait() throws.
  void begin_sum(const Tensor& values, bool gathers, const Phase& phase);
  /// Between two layers' work: moves on what was begun. Every rank calls it between the same others.
  void advance();
  /// All that was begun is done when the stream is. Collective; throws what wait() throws.
  void finish();
  /// Every rank's mine fp32 [n] in all [R n]; `mine` may be this rank's own piece of it. Nothing else is under way.
  /// Done when the stream is. Collective; throws what wait() throws.
  void all_gather(const Tensor& mine, const Tensor& all, const Phase& phase);

  /// Is told on the host of each sum when it was posted and when it was there: seconds since the machine's steady clock
  /// began.
  std::function<void(double posted, double there)> summed = {};

 private:
  struct Begun {
    Tensor values;
    bool gathers;
    Phase phase;
  };

  Tensor own_piece(const Tensor& values) const;
  void make_sums();
  StreamReduction& mapped();
  /// What `waiting` is given from now on runs after what `other` was given so far.
  void hold(const Stream& waiting, const Stream& other) const;

  Group group_;
  std::int64_t numbers_;
  const Stream* stream_;
  std::list<Begun> begun_;  ///< of hosts and by their messages: what is not summed yet
  std::optional<PostedSums> sums_;
  std::list<PostedCollective> gathers_;
  std::size_t gathering_ = 0;    ///< so many of them are under way
  std::vector<Ticket> tickets_;  ///< of other messages
  std::optional<Stream> side_;   ///< in mapped memory sums go on beside the rank's stream
  std::optional<Event> reached_;
  std::optional<StreamReduction> mapped_;
};

}  // namespace coe
