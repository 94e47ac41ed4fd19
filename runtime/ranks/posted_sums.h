#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <span>
#include <utility>
#include <vector>

#include "comm/posted_collective.h"
#include "kernels/memory/buffer.h"

namespace coe {

/// Sums over ranks that go on while these compute, a few at a time: each rank is sent all ranks' terms of its part and
/// adds them up, in ascending rank order. Host memory. Views what the group views.
class PostedSums {
 public:
  static constexpr std::size_t kAtOnce = 2;

  /// Is told of each sum that is there, in the order in which they were begun, when it was posted: seconds since the
  /// machine's steady clock began.
  using Summed = std::function<void(double posted)>;

  /// Of at most so many numbers each.
  PostedSums(const Group& group, std::int64_t numbers, Summed summed)
      : group_(group), numbers_(numbers), summed_(std::move(summed)) {}
  /// Takes back what is under way: the group is then of no further use but to abort.
  ~PostedSums();
  PostedSums(const PostedSums&) = delete;
  PostedSums& operator=(const PostedSums&) = delete;

  /// Will make this rank's of size() equal parts of `values` the sums over ranks; the other parts then mean nothing.
  /// What is under way, or waits its turn, stays where it is. Collective.
  void begin(std::span<float> values, const Phase& phase);
  /// Awaits those that have been under way since before, adds them up and posts the next ones. Called by every rank
  /// between the same calls. Throws what wait() throws.
  void advance();
  /// Whether all that was begun is done.
  bool done() const { return waiting_.empty() && under_way_.empty(); }

 private:
  struct Sum {
    std::span<float> values;
    Phase phase;
  };
  struct Mail {
    PostedCollective collective;
    Buffer terms;
    std::vector<std::size_t> counts;
    std::span<float> values;
    double posted = 0;
  };
  void post(const Sum& sum);
  void add_up(const Mail& mail) const;

  Group group_;
  std::int64_t numbers_;
  Summed summed_;
  std::list<Sum> waiting_;
  std::list<Mail> under_way_, free_;
};

}  // namespace coe
