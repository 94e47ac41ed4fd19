#include "comm/collectives.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "comm/wait.h"
#include "kernels/memory/buffer.h"
#include "kernels/memory/error.h"

namespace coe {
namespace {

/// Peers that a rank exchanges blocks with at once; a fixed number needs no memory of its own.
constexpr int kPeersAtOnce = 16;
/// Up to so many bytes over all ranks, a sum gathers everything on every rank.
constexpr std::size_t kSmallSum = 16 << 10;
/// Scratch of a large sum: at least this, and room for a part of this size from every rank, so that messages stay long
/// and rounds few however many ranks there are.
constexpr std::size_t kLeastSumScratch = 1 << 20, kSumPart = 64 << 10;

/// A Piece to send from; post() only reads it.
Piece piece_of(std::span<const std::byte> bytes) { return {const_cast<std::byte*>(bytes.data()), bytes.size()}; }

void copy(std::span<const std::byte> from, std::span<std::byte> to) {
  if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
}

void complete(Group group, std::span<const Message> sends, std::span<const Message> receives, const Phase& phase) {
  wait(group, post(group, sends, receives, phase), phase);
}

/// Sends send_to(peer) to every peer and receives receive_from(peer) (both spans of bytes) from it; the rank's own
/// block is copied.
template <class SendTo, class ReceiveFrom>
void exchange_blocks(Group group, const SendTo& send_to, const ReceiveFrom& receive_from, const Phase& phase) {
  const int ranks = group.size(), me = group.rank();
  copy(send_to(me), receive_from(me));
  std::array<Piece, kPeersAtOnce> out, in;
  std::array<Message, kPeersAtOnce> sends, receives;
  for (int first = 1; first < ranks; first += kPeersAtOnce) {
    const auto count = static_cast<std::size_t>(std::min(kPeersAtOnce, ranks - first));
    for (std::size_t i = 0; i < count; ++i) {
      const int step = first + static_cast<int>(i);
      const int to = (me + step) % ranks, from = (me - step + ranks) % ranks;
      out[i] = piece_of(send_to(to));
      in[i] = piece_of(receive_from(from));
      sends[i] = {to, {&out[i], 1}};
      receives[i] = {from, {&in[i], 1}};
    }
    complete(group, std::span(sends).first(count), std::span(receives).first(count), phase);
  }
}

/// Where blocks of `counts` elements begin. A walk over the ranks, up or down, costs one addition a rank.
class Offsets {
 public:
  explicit Offsets(std::span<const std::size_t> counts) : counts_(counts) {}
  std::size_t of(int rank) {
    const auto wanted = static_cast<std::size_t>(rank);
    const auto sum = [&](std::size_t first, std::size_t end) {
      const auto passed = counts_.subspan(first, end - first);
      return std::accumulate(passed.begin(), passed.end(), std::size_t{0});
    };
    if (wanted > rank_) offset_ += sum(rank_, wanted);
    if (wanted < rank_) offset_ -= sum(wanted, rank_);
    rank_ = wanted;
    return offset_;
  }

 private:
  std::span<const std::size_t> counts_;
  std::size_t rank_ = 0, offset_ = 0;
};

/// The block of `rank` among `bytes`, in blocks of `counts` times `block` bytes that `offsets` knows.
template <class Byte>
std::span<Byte> block_of(std::span<Byte> bytes, std::size_t block, std::span<const std::size_t> counts,
                         Offsets& offsets, int rank) {
  return bytes.subspan(offsets.of(rank) * block, counts[static_cast<std::size_t>(rank)] * block);
}

void check_counts(std::string_view what, std::size_t bytes, std::size_t block, std::span<const std::size_t> counts,
                  int ranks) {
  check(counts.size() == static_cast<std::size_t>(ranks), what, " has counts for ", counts.size(), " ranks, ranks are ",
        ranks);
  const std::size_t total = Offsets(counts).of(ranks) * block;
  check(total == bytes, what, " holds ", bytes, " bytes, its counts say ", total);
}

/// Where the part of `rank` begins when `elements` are divided over the ranks.
std::size_t part_begin(std::size_t elements, int rank, int ranks) {
  return elements * static_cast<std::size_t>(rank) / static_cast<std::size_t>(ranks);
}

/// `sum` becomes the sum of the rows of `terms`, the first row first.
template <class T>
void add_rows(std::span<const T> terms, std::span<T> sum) {
  std::copy_n(terms.begin(), sum.size(), sum.begin());
  for (std::size_t row = sum.size(); row < terms.size(); row += sum.size()) {
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += terms[row + i];
  }
}

template <class T>
void sum_small(Group group, std::span<T> values, const Phase& phase) {
  alignas(T) std::array<std::byte, kSmallSum> scratch;
  const std::span<T> all(reinterpret_cast<T*>(scratch.data()), values.size() * static_cast<std::size_t>(group.size()));
  all_gather<T>(group, values, all, phase);
  add_rows<T>(all, values);
}

/// part(rank) of this rank becomes the sum over all ranks' of it; `terms` has room for all of them.
template <class T, class Part>
void sum_own_part(Group group, const Part& part, std::span<T> terms, const Phase& phase) {
  const std::span<T> mine = part(group.rank());
  exchange_blocks(
      group, [&](int peer) { return std::as_bytes(part(peer)); },
      [&](int peer) {
        return std::as_writable_bytes(terms.subspan(static_cast<std::size_t>(peer) * mine.size(), mine.size()));
      },
      phase);
  if (!mine.empty()) add_rows<T>(terms, mine);
}

/// Every rank sums its part of `values` and gives it to all.
template <class T>
void sum_by_parts(Group group, std::span<T> values, std::span<T> scratch, const Phase& phase) {
  const int ranks = group.size();
  const auto part = [&](int rank) {
    const std::size_t begin = part_begin(values.size(), rank, ranks);
    return values.subspan(begin, part_begin(values.size(), rank + 1, ranks) - begin);
  };
  const std::span<T> mine = part(group.rank());
  sum_own_part<T>(group, part, scratch.first(mine.size() * static_cast<std::size_t>(ranks)), phase);
  exchange_blocks(
      group, [&](int) { return std::as_bytes(mine); }, [&](int peer) { return std::as_writable_bytes(part(peer)); },
      phase);
}

}  // namespace

void barrier(Group group, const Phase& phase) {
  const int ranks = group.size(), me = group.rank();
  std::byte sent{}, received{};
  const Piece out{&sent, 1}, in{&received, 1};
  for (int distance = 1; distance < ranks; distance *= 2) {
    const Message to{(me + distance) % ranks, {&out, 1}};
    const Message from{(me - distance + ranks) % ranks, {&in, 1}};
    complete(group, {&to, 1}, {&from, 1}, phase);
  }
}

void broadcast(Group group, std::span<std::byte> bytes, int root, const Phase& phase) {
  const int ranks = group.size();
  check(root >= 0 && root < ranks, "broadcast: root is ", root, ", ranks are ", ranks);
  const int place = (group.rank() - root + ranks) % ranks;
  const Piece piece = piece_of(bytes);
  const auto message = [&](int other) { return Message{(other + root) % ranks, {&piece, 1}}; };
  int reach = 1;  // A place's parent is the place without its lowest bit; its children lie below that bit.
  while (reach < ranks && (place & reach) == 0) reach *= 2;
  if (place != 0) {
    const Message from = message(place - reach);
    complete(group, {}, {&from, 1}, phase);
  }
  std::array<Message, 32> children;
  std::size_t count = 0;
  for (int below = reach / 2; below > 0; below /= 2) {
    if (place + below < ranks) children[count++] = message(place + below);
  }
  complete(group, std::span(children).first(count), {}, phase);
}

void all_gather_blocks(Group group, std::span<const std::byte> mine, std::span<std::byte> all, const Phase& phase) {
  check(all.size() == mine.size() * static_cast<std::size_t>(group.size()), "all_gather: output is ", all.size(),
        " bytes, must be ", group.size(), " times ", mine.size());
  exchange_blocks(
      group, [&](int) { return mine; },
      [&](int peer) { return all.subspan(static_cast<std::size_t>(peer) * mine.size(), mine.size()); }, phase);
}

void all_gather_uneven_blocks(Group group, std::size_t block, std::span<const std::byte> mine, std::span<std::byte> all,
                              std::span<const std::size_t> counts, const Phase& phase) {
  check_counts("all_gather_uneven: output", all.size(), block, counts, group.size());
  const std::size_t own = counts[static_cast<std::size_t>(group.rank())] * block;
  check(mine.size() == own, "all_gather_uneven: input holds ", mine.size(), " bytes, its count says ", own);
  Offsets offsets(counts);
  exchange_blocks(
      group, [&](int) { return mine; }, [&](int peer) { return block_of(all, block, counts, offsets, peer); }, phase);
}

std::vector<std::vector<std::byte>> all_gather_bytes(Group group, std::span<const std::byte> mine, const Phase& phase) {
  const std::size_t size = mine.size();
  std::vector<std::size_t> sizes(static_cast<std::size_t>(group.size()));
  all_gather<std::size_t>(group, {&size, 1}, sizes, phase);
  std::vector<std::vector<std::byte>> all;
  all.reserve(sizes.size());
  for (const std::size_t bytes : sizes) all.emplace_back(bytes);
  exchange_blocks(
      group, [&](int) { return mine; },
      [&](int peer) { return std::span<std::byte>(all[static_cast<std::size_t>(peer)]); }, phase);
  return all;
}

template <class T>
void all_reduce_sum(Group group, std::span<T> values, const Phase& phase) {
  if (group.size() == 1 || values.empty()) return;
  const auto ranks = static_cast<std::size_t>(group.size());
  if (values.size_bytes() * ranks <= kSmallSum) return sum_small(group, values, phase);
  // Parts of a stretch of whole multiples of the ranks are equal, so that their terms fit the scratch exactly.
  const std::size_t stretch = std::max(kLeastSumScratch / ranks, kSumPart) / sizeof(T) * ranks;
  const Buffer scratch(stretch * sizeof(T));
  const std::span<T> terms(reinterpret_cast<T*>(scratch.data()), stretch);
  for (std::size_t begin = 0; begin < values.size(); begin += stretch) {
    sum_by_parts(group, values.subspan(begin, std::min(stretch, values.size() - begin)), terms, phase);
  }
}

template void all_reduce_sum(Group group, std::span<float> values, const Phase& phase);
template void all_reduce_sum(Group group, std::span<double> values, const Phase& phase);
template void all_reduce_sum(Group group, std::span<std::int32_t> values, const Phase& phase);
template void all_reduce_sum(Group group, std::span<std::int64_t> values, const Phase& phase);

template <class T>
void reduce_scatter_sum(Group group, std::span<T> values, const Phase& phase) {
  const auto ranks = static_cast<std::size_t>(group.size());
  const std::size_t each = values.size() / ranks;
  check(each * ranks == values.size(), "reduce_scatter: ", values.size(), " elements, must be equal parts for ", ranks,
        " ranks");
  if (ranks == 1 || each == 0) return;
  const std::size_t at_once = std::min(each, std::max(kLeastSumScratch / ranks, kSumPart) / sizeof(T));
  const Buffer scratch(at_once * ranks * sizeof(T));
  for (std::size_t begin = 0; begin < each; begin += at_once) {
    const std::size_t count = std::min(at_once, each - begin);
    const auto part = [&](int rank) { return values.subspan(static_cast<std::size_t>(rank) * each + begin, count); };
    sum_own_part<T>(group, part, {reinterpret_cast<T*>(scratch.data()), count * ranks}, phase);
  }
}

template void reduce_scatter_sum(Group group, std::span<float> values, const Phase& phase);

void all_to_all_blocks(Group group, std::size_t block, std::span<const std::byte> send,
                       std::span<const std::size_t> send_counts, std::span<std::byte> receive,
                       std::span<const std::size_t> receive_counts, const Phase& phase) {
  check_counts("all_to_all: send", send.size(), block, send_counts, group.size());
  check_counts("all_to_all: receive", receive.size(), block, receive_counts, group.size());
  const auto me = static_cast<std::size_t>(group.rank());
  check(send_counts[me] == receive_counts[me], "all_to_all: rank ", me, " sends itself ", send_counts[me],
        " elements and receives ", receive_counts[me]);
  Offsets sent(send_counts), received(receive_counts);
  exchange_blocks(
      group, [&](int peer) { return block_of(send, block, send_counts, sent, peer); },
      [&](int peer) { return block_of(receive, block, receive_counts, received, peer); }, phase);
}

}  // namespace coe
