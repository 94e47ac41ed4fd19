#include "runtime/ranks/message_tables.h"

#include <utility>

#include "kernels/memory/copy.h"

namespace coe {

MessageTables::MessageTables(const Group& group, const TablesRoom& room, const Stream& stream)
    : group_(group), stream_(&stream) {
  const std::int64_t ranks = group.size();
  const auto numbers = [&](std::int64_t each) { return static_cast<std::size_t>(kApart * ranks * each); };
  const std::size_t lists = numbers(1) * sizeof(std::int64_t), tables = numbers(room.experts) * sizeof(std::int32_t);
  memory_ = Buffer(lists + tables + numbers(room.scores) * sizeof(float), stream.device());
  const Tensor all_lists(memory_.data(), DType::kI64, {kApart, ranks}, stream.device());
  const Tensor all_tables(memory_.data() + lists, DType::kI32, {kApart, ranks, room.experts}, stream.device());
  const Tensor all_scores(memory_.data() + lists + tables, DType::kF32, {kApart, ranks, room.scores}, stream.device());
  for (std::int64_t round = 0; round < kApart; ++round) {
    rounds_[static_cast<std::size_t>(round)] = {all_tables[round], all_scores[round], all_lists[round]};
    for (std::int64_t rank = 0; rank < ranks; ++rank) {
      addresses_.push_back(reinterpret_cast<std::int64_t>(all_scores[round][rank].raw()));
    }
  }
  copy(Tensor(addresses_.data(), DType::kI64, all_lists.shape()), all_lists, stream);
}

Tensor MessageTables::scores(int round) const { return at(round).scores[group_.rank()]; }

void MessageTables::tell(const Tensor& counts, int round, const Phase& phase) {
  told_.push_back(group_.messages->all_gather(counts, at(round).table, *stream_, phase));
  if (round > 0) tell_scores_of(at(round), phase);
}

void MessageTables::tell_scores(const Phase& phase) { tell_scores_of(at(0), phase); }

void MessageTables::tell_scores_of(const Round& round, const Phase& phase) {
  if (round.scores.elements() == 0) return;
  told_.push_back(group_.messages->all_gather(round.scores[group_.rank()], round.scores, *stream_, phase));
}

void MessageTables::await_told() {
  for (const Ticket ticket : std::exchange(told_, {})) group_.messages->follow(ticket, *stream_);
}

}  // namespace coe
