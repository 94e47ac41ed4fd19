#include "runtime/ranks/stream_tables.h"

#include "kernels/memory/copy.h"

namespace coe {
namespace {

constexpr std::size_t kAlignment = 256;  // of what a device reads fastest

std::size_t aligned(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

std::size_t table_bytes(const Group& group, const TablesRoom& room) {
  return aligned(static_cast<std::size_t>(group.size() * room.experts) * sizeof(std::int32_t));
}

std::size_t round_bytes(const Group& group, const TablesRoom& room) {
  return table_bytes(group, room) + aligned(static_cast<std::size_t>(room.scores) * sizeof(float));
}

}  // namespace

StreamTables::StreamTables(const Group& group, const TablesRoom& room, const Stream& stream)
    : group_(group),
      stream_(&stream),
      meeting_(group, stream.device()),
      window_(group.transport->make_window(kApart * round_bytes(group, room), stream.device())),
      address_memory_(static_cast<std::size_t>(kApart * group.size()) * sizeof(std::int64_t), stream.device()) {
  const int me = group.rank(), ranks = group.size();
  for (int round = 0; round < kApart; ++round) {
    const std::size_t offset = static_cast<std::size_t>(round) * round_bytes(group, room);
    const std::size_t scores = offset + table_bytes(group, room);
    for (int rank = 0; rank < ranks; ++rank) {
      addresses_.push_back(reinterpret_cast<std::int64_t>(window_->of(rank) + scores));
    }
    const Tensor lists(address_memory_.data() + static_cast<std::size_t>(round * ranks) * sizeof(std::int64_t),
                       DType::kI64, {ranks}, stream.device());
    rounds_[static_cast<std::size_t>(round)] = {offset, view(me, offset, DType::kI32, {ranks, room.experts}),
                                                view(me, scores, DType::kF32, {room.scores}), lists};
  }
  const Tensor all(address_memory_.data(), DType::kI64, {kApart * ranks}, stream.device());
  copy(Tensor(addresses_.data(), DType::kI64, all.shape()), all, stream);
}

Tensor StreamTables::view(int rank, std::size_t offset, DType dtype, Shape shape) const {
  return {window_->of(rank) + offset, dtype, shape, stream_->device()};
}

void StreamTables::tell(const Tensor& counts, int round, const Phase& phase) {
  const Round& told = at(round);
  for (int peer = 0; peer < group_.size(); ++peer) {
    const Tensor there = view(peer, told.offset, DType::kI32, told.table.shape());
    copy(counts, there.rows(group_.rank(), 1), *stream_);
  }
  tell_scores(phase);
}

void StreamTables::tell_scores(const Phase& phase) {
  phase_ = phase;
  meeting_.arrive(*stream_);
}

void StreamTables::await_told() { meeting_.follow(*stream_, phase_); }

}  // namespace coe
