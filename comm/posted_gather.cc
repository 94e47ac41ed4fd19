#include "comm/posted_gather.h"

#include <cstring>

#include "kernels/memory/error.h"

namespace coe {

void PostedGather::post(const Group& group, std::span<const std::byte> mine, std::span<std::byte> all,
                        const Phase& phase) {
  const auto ranks = static_cast<std::size_t>(group.size()), me = static_cast<std::size_t>(group.rank());
  check(all.size() == mine.size() * ranks, "gather: output is ", all.size(), " bytes, must be ", ranks, " times ",
        mine.size());
  group_ = group;
  phase_ = phase;
  const auto block = [&](std::size_t rank) { return all.subspan(rank * mine.size(), mine.size()); };
  if (!mine.empty()) std::memcpy(block(me).data(), mine.data(), mine.size());
  sent_ = {const_cast<std::byte*>(mine.data()), mine.size()};  // only read
  received_.resize(ranks);
  sends_.clear();
  receives_.clear();
  for (std::size_t step = 1; step < ranks; ++step) {
    const std::size_t to = (me + step) % ranks, from = (me + ranks - step) % ranks;
    received_[from] = {block(from).data(), mine.size()};
    sends_.push_back({static_cast<int>(to), {&sent_, 1}});
    receives_.push_back({static_cast<int>(from), {&received_[from], 1}});
  }
  ticket_ = coe::post(group, sends_, receives_, phase);
}

}  // namespace coe
