#include "comm/posted_collective.h"

#include <algorithm>
#include <cstring>

#include "kernels/memory/error.h"

namespace coe {
namespace {

/// Pieces are what transports take; what is sent is only read.
std::span<std::byte> as_sent(std::span<const std::byte> bytes) {
  return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

}  // namespace

void PostedCollective::all_gather(const Group& group, std::span<const std::byte> mine, std::span<std::byte> all,
                                  const Phase& phase) {
  const auto ranks = static_cast<std::size_t>(group.size());
  check(all.size() == mine.size() * ranks, "gather: output is ", all.size(), " bytes, must be ", ranks, " times ",
        mine.size());
  out_.assign(ranks, {as_sent(mine).data(), mine.size()});
  in_.resize(ranks);
  for (std::size_t rank = 0; rank < ranks; ++rank) in_[rank] = {all.data() + rank * mine.size(), mine.size()};
  post(group, phase);
}

void PostedCollective::all_gather_uneven(const Group& group, std::size_t block, std::span<const std::byte> mine,
                                         std::span<std::byte> all, std::span<const std::size_t> counts,
                                         const Phase& phase) {
  out_.assign(counts.size(), {as_sent(mine).data(), mine.size()});
  in_.resize(counts.size());
  lay_out(in_, all, block, counts);
  post(group, phase);
}

void PostedCollective::all_to_all(const Group& group, std::size_t block, std::span<const std::byte> send,
                                  std::span<const std::size_t> send_counts, std::span<std::byte> receive,
                                  std::span<const std::size_t> receive_counts, const Phase& phase) {
  out_.resize(send_counts.size());
  in_.resize(receive_counts.size());
  lay_out(out_, as_sent(send), block, send_counts);
  lay_out(in_, receive, block, receive_counts);
  post(group, phase);
}

void PostedCollective::lay_out(std::span<Piece> pieces, std::span<std::byte> bytes, std::size_t block,
                               std::span<const std::size_t> counts) {
  std::size_t offset = 0;
  for (std::size_t rank = 0; rank < pieces.size(); ++rank) {
    pieces[rank] = {bytes.data() + offset, counts[rank] * block};
    offset += pieces[rank].bytes;
  }
  check(offset == bytes.size(), "posted collective: there are ", bytes.size(), " bytes, the counts say ", offset);
}

void PostedCollective::post(const Group& group, const Phase& phase) {
  const auto ranks = static_cast<std::size_t>(group.size()), me = static_cast<std::size_t>(group.rank());
  check(out_.size() == ranks && in_.size() == ranks, "posted collective: counts for ", out_.size(), " and ", in_.size(),
        " ranks, ranks are ", ranks);
  check(out_[me].bytes == in_[me].bytes, "posted collective: rank ", me, " sends itself ", out_[me].bytes,
        " bytes and receives ", in_[me].bytes);
  group_ = group;
  phase_ = phase;
  if (in_[me].bytes > 0) std::memcpy(in_[me].data, out_[me].data, in_[me].bytes);
  sends_.clear();
  receives_.clear();
  for (std::size_t step = 1; step < ranks; ++step) {
    const std::size_t to = (me + step) % ranks, from = (me + ranks - step) % ranks;
    sends_.push_back({static_cast<int>(to), {&out_[to], 1}});
    receives_.push_back({static_cast<int>(from), {&in_[from], 1}});
  }
  ticket_ = coe::post(group, sends_, receives_, phase);
}

void PostedCollective::give_up() noexcept {
  try {
    group_.transport->give_up(ticket_);
  } catch (const Error&) {
    // A wait that failed took it back.
  }
}

}  // namespace coe
