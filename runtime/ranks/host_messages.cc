#include "runtime/ranks/host_messages.h"

#include <algorithm>
#include <functional>

#include "comm/collectives.h"
#include "comm/wait.h"
#include "kernels/memory/copy.h"

namespace coe {

void HostMessages::Image::find_runs(std::span<const Message> messages) {
  runs_.clear();
  for (const Message& message : messages) {
    for (const Piece& piece : message.pieces) {
      if (piece.bytes > 0) runs_.push_back({piece.data, piece.bytes});
    }
  }
  std::ranges::sort(runs_, std::less<>(), &Run::there);
  std::size_t kept = 0;
  for (const Run& run : runs_) {
    Run* last = kept == 0 ? nullptr : &runs_[kept - 1];
    if (last != nullptr && run.there <= last->there + last->bytes) {
      last->bytes = std::max(last->bytes, static_cast<std::size_t>(run.there - last->there) + run.bytes);
    } else {
      runs_[kept++] = run;
    }
  }
  runs_.resize(kept);
}

Piece HostMessages::Image::here(const Piece& piece) const {
  if (piece.bytes == 0) return {};
  const auto run = std::prev(std::ranges::upper_bound(runs_, piece.data, std::less<>(), &Run::there));
  return {memory_.data() + run->at + (piece.data - run->there), piece.bytes};
}

void HostMessages::Image::lay_out(std::span<const Message> messages, Device device) {
  find_runs(messages);
  std::size_t bytes = 0;
  for (Run& run : runs_) {
    run.at = bytes;
    bytes += run.bytes;
  }
  if (bytes > memory_.bytes()) memory_ = PinnedBuffer(bytes + bytes / 4, device);
  std::size_t pieces = 0;
  for (const Message& message : messages) pieces += message.pieces.size();
  pieces_.clear();
  pieces_.reserve(pieces);
  messages_.clear();
  for (const Message& message : messages) {
    const std::size_t first = pieces_.size();
    for (const Piece& piece : message.pieces) {
      if (piece.bytes > 0) pieces_.push_back(here(piece));
    }
    if (pieces_.size() > first) messages_.push_back({message.peer, std::span(pieces_).subspan(first)});
  }
}

template <class Copy>
void HostMessages::Image::for_each_run(Device device, const Copy& copy) const {
  for (const Run& run : runs_) {
    const Shape shape{static_cast<std::int64_t>(run.bytes)};
    copy(Tensor(run.there, DType::kU8, shape, device), Tensor(memory_.data() + run.at, DType::kU8, shape));
  }
}

void HostMessages::Image::from_device(const Stream& stream) const {
  for_each_run(stream.device(), [&](const Tensor& there, const Tensor& here) { copy(there, here, stream); });
}

void HostMessages::Image::to_device(const Stream& stream) const {
  for_each_run(stream.device(), [&](const Tensor& there, const Tensor& here) { copy(here, there, stream); });
}

HostMessages::Operation& HostMessages::free_operation(const Stream& stream) {
  for (Operation& operation : operations_) {
    if (operation.ticket.id == 0 && operation.landed.done()) return operation;
  }
  Operation& operation = operations_.emplace_back();
  operation.landed = Event(stream.device());
  return operation;
}

Ticket HostMessages::post(std::span<const Message> sends, std::span<const Message> receives, const Stream& stream,
                          const Phase& phase) {
  Operation& operation = free_operation(stream);
  operation.phase = phase;
  operation.leaving.lay_out(sends, stream.device());
  operation.coming.lay_out(receives, stream.device());
  operation.leaving.from_device(stream);
  wait(group_, stream, phase);
  operation.ticket = coe::post(group_, operation.leaving.messages(), operation.coming.messages(), phase);
  return operation.ticket;
}

Ticket HostMessages::all_gather(const Tensor& mine, const Tensor& all, const Stream& stream, const Phase& phase) {
  const Piece leaving{mine.raw(), mine.bytes()};
  std::vector<Piece> coming;
  for (int peer = 0; peer < group_.size(); ++peer) {
    coming.push_back({all.raw() + static_cast<std::size_t>(peer) * mine.bytes(), mine.bytes()});
  }
  std::vector<Message> sends, receives;
  for (int peer = 0; peer < group_.size(); ++peer) {
    if (peer == group_.rank() && all.raw() + static_cast<std::size_t>(peer) * mine.bytes() == mine.raw()) continue;
    sends.push_back({peer, {&leaving, 1}});
    receives.push_back({peer, {&coming[static_cast<std::size_t>(peer)], 1}});
  }
  return post(sends, receives, stream, phase);
}

Ticket HostMessages::reduce_scatter_sum(const Tensor& values, const Stream& stream, const Phase& phase) {
  const std::int64_t each = values.elements() / group_.size(), first = group_.rank() * each;
  const Tensor mine = values.rows(first, each);
  const Piece whole{values.raw(), values.bytes()}, own{mine.raw(), mine.bytes()};
  const Message leaving{group_.rank(), {&whole, 1}}, coming{group_.rank(), {&own, 1}};
  Operation& operation = free_operation(stream);
  operation.phase = phase;
  operation.leaving.lay_out({&leaving, 1}, stream.device());
  operation.coming.lay_out({&coming, 1}, stream.device());
  operation.leaving.from_device(stream);
  wait(group_, stream, phase);
  const Tensor here = operation.leaving.only(DType::kF32, values.shape());
  coe::reduce_scatter_sum<float>(group_, here.span<float>(), phase);
  copy(here.rows(first, each), operation.coming.only(DType::kF32, mine.shape()), host_stream());
  operation.ticket = coe::post(group_, {}, {}, phase);
  return operation.ticket;
}

void HostMessages::follow(Ticket ticket, const Stream& stream) {
  const auto found = std::ranges::find(operations_, ticket.id, [](const Operation& one) { return one.ticket.id; });
  if (found == operations_.end() || ticket.id == 0) {
    fail(ErrorCode::kInternal, "messages by the host: operation ", ticket.id, " is not under way");
  }
  wait(group_, found->ticket, found->phase);
  found->ticket.id = 0;
  found->coming.to_device(stream);
  found->landed.record(stream);
}

}  // namespace coe
