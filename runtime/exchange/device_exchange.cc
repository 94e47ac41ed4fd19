#include "runtime/exchange/device_exchange.h"

#include <algorithm>

#include "kernels/memory/copy.h"
#include "kernels/memory/error.h"

namespace coe {
namespace {

constexpr std::size_t kAlignment = 256;  // of what a device reads fastest

std::size_t aligned(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// How many rounds are told apart.
int rounds_apart(const DeviceRoom& room) { return std::min(room.rounds, 2); }

/// Tables of addresses: one for every slot, of scores, and of rows and scalars of gradients and results.
std::size_t address_tables(const DeviceRoom& room) {
  return static_cast<std::size_t>(room.slots + rounds_apart(room)) + 4;
}

}  // namespace

DeviceExchange::Layout DeviceExchange::layout_of(const DeviceRoom& room, int ranks) {
  const std::size_t rows = aligned(static_cast<std::size_t>(room.rows * room.hidden) * size_of(room.dtype));
  const std::size_t scalars = aligned(static_cast<std::size_t>(room.rows) * sizeof(float));
  Layout layout;
  layout.slot = rows;
  layout.scores = aligned(static_cast<std::size_t>(ranks * room.experts) * sizeof(std::int32_t));
  layout.told = layout.scores + aligned(static_cast<std::size_t>(room.scores) * sizeof(float));
  layout.arrived = layout.told * static_cast<std::size_t>(rounds_apart(room));
  layout.upstream = layout.arrived + rows * static_cast<std::size_t>(room.slots);
  layout.upstream_scalar = layout.upstream + rows;
  layout.results = layout.upstream_scalar + scalars;
  layout.result_scalar = layout.results + rows;
  layout.bytes = layout.result_scalar + scalars;
  return layout;
}

DeviceExchange::DeviceExchange(Group group, const DeviceRoom& room, const Stream& stream)
    : group_(group),
      room_(room),
      device_(stream.device()),
      layout_(layout_of(room, group.size())),
      meeting_(group, stream.device()),
      window_(group.transport->make_window(layout_.bytes, stream.device())),
      address_memory_(address_tables(room) * static_cast<std::size_t>(group.size()) * sizeof(std::int64_t),
                      stream.device()) {
  host_addresses_.reserve(address_tables(room) * static_cast<std::size_t>(group.size()));
  const Shape block{room.rows, room.hidden};
  for (int round = 0; round < rounds_apart(room); ++round) {
    const std::size_t offset = layout_.told * static_cast<std::size_t>(round);
    told_.push_back({view(rank(), offset, DType::kI32, {ranks(), room.experts}),
                     view(rank(), offset + layout_.scores, DType::kF32, {room.scores}),
                     addresses(offset + layout_.scores, stream)});
  }
  for (int slot = 0; slot < room.slots; ++slot) {
    const std::size_t offset = layout_.arrived + static_cast<std::size_t>(slot) * layout_.slot;
    arrived_.push_back(view(rank(), offset, room.dtype, block));
    arrived_blocks_.push_back({addresses(offset, stream), {}});
  }
  upstream_ = {view(rank(), layout_.upstream, room.dtype, block),
               view(rank(), layout_.upstream_scalar, DType::kF32, {room.rows})};
  results_ = {view(rank(), layout_.results, room.dtype, block),
              view(rank(), layout_.result_scalar, DType::kF32, {room.rows})};
  upstream_blocks_ = {addresses(layout_.upstream, stream), addresses(layout_.upstream_scalar, stream)};
  result_blocks_ = {addresses(layout_.results, stream), addresses(layout_.result_scalar, stream)};
}

Tensor DeviceExchange::view(int rank, std::size_t offset, DType dtype, Shape shape) const {
  return {window_->of(rank) + offset, dtype, shape, device_};
}

Tensor DeviceExchange::addresses(std::size_t offset, const Stream& stream) {
  const std::size_t first = host_addresses_.size();
  for (int rank = 0; rank < ranks(); ++rank) {
    host_addresses_.push_back(reinterpret_cast<std::int64_t>(window_->of(rank) + offset));
  }
  const Tensor host(host_addresses_.data() + first, DType::kI64, {ranks()});
  const Tensor there(address_memory_.data() + first * sizeof(std::int64_t), DType::kI64, {ranks()}, device_);
  copy(host, there, stream);
  return there;
}

void DeviceExchange::tell(const Tensor& totals, int round, const Stream& stream) const {
  const std::size_t offset = layout_.told * (static_cast<std::size_t>(round) % told_.size());
  for (int peer = 0; peer < ranks(); ++peer) {
    copy(totals, view(peer, offset, DType::kI32, table(round).shape())[rank()], stream);
  }
}

}  // namespace coe
