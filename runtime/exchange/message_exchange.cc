#include "runtime/exchange/message_exchange.h"

#include <algorithm>
#include <array>
#include <vector>

#include "comm/device_messages.h"
#include "kernels/memory/buffer.h"
#include "kernels/memory/copy.h"
#include "kernels/routing/segments.h"
#include "runtime/ranks/read_back.h"

namespace coe {
namespace {

/// Rows with a float beside each, for as many as were ever asked for.
class RowRoom {
 public:
  void reserve(std::int64_t rows, std::int64_t hidden, DType dtype, Device device) {
    if (rows > room_ || rows_.elements() == 0) {
      room_ = std::max<std::int64_t>(rows + rows / 4, 1);
      row_memory_ = Buffer(static_cast<std::size_t>(room_ * hidden) * size_of(dtype), device);
      scalar_memory_ = Buffer(static_cast<std::size_t>(room_) * sizeof(float), device);
    }
    rows_ = Tensor(row_memory_.data(), dtype, {room_, hidden}, device);
    scalar_ = Tensor(scalar_memory_.data(), DType::kF32, {room_}, device);
  }
  /// The first `count`, without the floats where none travel.
  cuda::SegmentRows first(std::int64_t count, bool with_scalar) const { return some(0, count, with_scalar); }
  cuda::SegmentRows some(std::int64_t first, std::int64_t count, bool with_scalar) const {
    return {rows_.rows(first, count), with_scalar ? scalar_.rows(first, count) : Tensor()};
  }

 private:
  std::int64_t room_ = 0;
  Buffer row_memory_, scalar_memory_;
  Tensor rows_, scalar_;
};

/// Rows to or from one rank.
struct Run {
  std::int64_t first = 0, count = 0;
};

}  // namespace

/// One flight. Results take the ways back of the rows.
class MessageExchange::Buffers : public FlightBuffers {
 public:
  explicit Buffers(MessageExchange& exchange) : exchange_(exchange) {}

  void begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase);
  void await_arrival() override;
  ExpertRows arrived() override { return expert_rows(by_expert_); }
  ExpertRows results() override { return expert_rows(results_); }
  void send_back(const Phase& phase) override;
  void await_return() override { messages().follow(ticket_, stream()); }
  void combine(const Combination& combination, const TokensSummed& then) override;
  std::int64_t bytes_sent() const override { return bytes_sent_; }
  void release() noexcept override { exchange_.flights_.give_back(*this); }

 private:
  const Stream& stream() const { return *exchange_.stream_; }
  DeviceMessages& messages() const { return *exchange_.group_.messages; }
  bool with_scalar() const { return departure_.scalar != nullptr; }
  int ranks() const { return exchange_.group_.size(); }
  std::size_t own() const { return static_cast<std::size_t>(exchange_.group_.rank()); }
  cuda::SegmentRows rows(const RowRoom& room, std::int64_t count) const { return room.first(count, with_scalar()); }
  ExpertRows expert_rows(const RowRoom& room) const {
    const cuda::SegmentRows all = rows(room, expert_rows_);
    return {all.rows, all.scalar, plan_->expert_offsets};
  }
  /// How many rows go to and come from each rank.
  void size_runs(const Phase& phase);
  void make_room();
  /// Where the rows for each rank stand, for kernels.
  void place_blocks();
  /// Sends the rows of one side to whom they concern, and receives those of the other; this rank's own are copied.
  void post(const RowRoom& from, const std::vector<Run>& leaving, const RowRoom& to, const std::vector<Run>& coming,
            const Phase& phase);
  void list(const RowRoom& room, const std::vector<Run>& runs, std::vector<std::array<Piece, 2>>& pieces,
            std::vector<Message>& messages) const;

  MessageExchange& exchange_;
  const DispatchPlan* plan_ = nullptr;
  Departure departure_;
  RowRoom leaving_;    ///< rows by (peer, expert, token), and their results
  RowRoom landed_;     ///< by (source, expert, token), and their results
  RowRoom by_expert_;  ///< by (expert, source, token)
  RowRoom results_;    ///< the same
  std::int64_t rows_out_ = 0, rows_in_ = 0, expert_rows_ = 0;
  std::vector<Run> out_, in_;  ///< [R]
  std::vector<std::array<Piece, 2>> sent_pieces_, received_pieces_;
  std::vector<Message> sends_, receives_;
  std::vector<std::int64_t> addresses_;
  Buffer address_memory_;
  cuda::RowBlocks blocks_;
  Ticket ticket_;
  std::int64_t bytes_sent_ = 0;
};

void MessageExchange::Buffers::size_runs(const Phase& phase) {
  const auto count = static_cast<std::size_t>(ranks());
  std::vector<std::int32_t> sizes;
  if (plan_->message_rows == 0) sizes = read_back<std::int32_t>(plan_->sizes, exchange_.group_, stream(), phase);
  out_.resize(count);
  in_.resize(count);
  rows_out_ = rows_in_ = 0;
  for (std::size_t peer = 0; peer < count; ++peer) {
    out_[peer] = {rows_out_, plan_->message_rows > 0 ? plan_->message_rows : sizes[2 * peer]};
    in_[peer] = {rows_in_, plan_->message_rows > 0 ? plan_->message_rows : sizes[2 * peer + 1]};
    rows_out_ += out_[peer].count;
    rows_in_ += in_[peer].count;
  }
  const auto* first = plan_->first_place.data<std::int32_t>() + exchange_.group_.rank();
  // Of messages of fixed size, not all can be full at once.
  const std::int64_t most = plan_->message_rows > 0 ? std::min(rows_in_, plan_->most_rows) : rows_in_;
  expert_rows_ = plan_->padded_rows > 0 ? (first[1] - first[0]) * plan_->padded_rows : most;
}

void MessageExchange::Buffers::make_room() {
  const auto reserve = [&](RowRoom& room, std::int64_t rows) {
    room.reserve(rows, exchange_.hidden_, exchange_.dtype_, stream().device());
  };
  reserve(leaving_, rows_out_);
  reserve(landed_, rows_in_);
  reserve(by_expert_, expert_rows_);
  reserve(results_, expert_rows_);
}

void MessageExchange::Buffers::place_blocks() {
  const auto count = static_cast<std::int64_t>(ranks());
  addresses_.clear();
  for (const Run& run : out_) {
    addresses_.push_back(reinterpret_cast<std::int64_t>(leaving_.some(run.first, 0, true).rows.raw()));
  }
  for (const Run& run : out_) {
    addresses_.push_back(reinterpret_cast<std::int64_t>(leaving_.some(run.first, 0, true).scalar.raw()));
  }
  if (address_memory_.bytes() == 0) {
    address_memory_ = Buffer(addresses_.size() * sizeof(std::int64_t), stream().device());
  }
  const Tensor there(address_memory_.data(), DType::kI64, {2, count}, stream().device());
  copy(Tensor(addresses_.data(), DType::kI64, there.shape()), there, stream());
  blocks_ = {there[0], with_scalar() ? there[1] : Tensor()};
}

void MessageExchange::Buffers::list(const RowRoom& room, const std::vector<Run>& runs,
                                    std::vector<std::array<Piece, 2>>& pieces, std::vector<Message>& messages) const {
  pieces.clear();
  pieces.reserve(runs.size());
  messages.clear();
  for (std::size_t peer = 0; peer < runs.size(); ++peer) {
    const Run& run = runs[peer];
    if (run.count == 0 || peer == own()) continue;
    const cuda::SegmentRows some = room.some(run.first, run.count, with_scalar());
    pieces.push_back({Piece{some.rows.raw(), some.rows.bytes()}, Piece{some.scalar.raw(), some.scalar.bytes()}});
    messages.push_back({static_cast<int>(peer), std::span(pieces.back()).first(with_scalar() ? 2 : 1)});
  }
}

void MessageExchange::Buffers::post(const RowRoom& from, const std::vector<Run>& leaving, const RowRoom& to,
                                    const std::vector<Run>& coming, const Phase& phase) {
  list(from, leaving, sent_pieces_, sends_);
  list(to, coming, received_pieces_, receives_);
  std::int64_t bytes = 0;
  for (const Message& message : sends_) {
    for (const Piece& piece : message.pieces) bytes += static_cast<std::int64_t>(piece.bytes);
  }
  bytes_sent_ += bytes;
  exchange_.bytes_sent_ += bytes;
  const auto own_rows = [&](const RowRoom& room, const Run& run) {
    return room.some(run.first, run.count, with_scalar());
  };
  const cuda::SegmentRows mine = own_rows(from, leaving[own()]), there = own_rows(to, coming[own()]);
  copy(mine.rows, there.rows, stream());
  if (with_scalar()) copy(mine.scalar, there.scalar, stream());
  ticket_ = messages().post(sends_, receives_, stream(), phase);
}

void MessageExchange::Buffers::begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) {
  plan_ = &plan;
  departure_ = departure;
  bytes_sent_ = 0;
  size_runs(phase);
  make_room();
  place_blocks();
  cuda::scatter_rows(*departure.x, with_scalar() ? *departure.scalar : Tensor(), plan.places, blocks_, stream());
  post(leaving_, out_, landed_, in_, phase);
}

void MessageExchange::Buffers::await_arrival() {
  messages().follow(ticket_, stream());
  const cuda::SegmentRows mine = rows(by_expert_, expert_rows_);
  cuda::gather_segments(plan_->arrivals, rows(landed_, rows_in_), mine, stream());
  if (plan_->padded_rows == 0) return;
  const Tensor& ends = plan_->row_ends;
  cuda::clear_runs_of_rows(mine.rows, mine.scalar, ends, plan_->expert_offsets.rows(1, ends.elements()), stream());
}

void MessageExchange::Buffers::send_back(const Phase& phase) {
  cuda::scatter_segments(plan_->arrivals, rows(results_, expert_rows_), rows(landed_, rows_in_), stream());
  post(landed_, in_, leaving_, out_, phase);
}

void MessageExchange::Buffers::combine(const Combination& combination, const TokensSummed& then) {
  cuda::combine_rows(blocks_, plan_->places, departure_.weights, combination.shared, combination.residual,
                     combination.lost, combination.sum, stream());
  if (combination.scalar != nullptr) cuda::collect_scalars(blocks_, plan_->places, *combination.scalar, stream());
  if (then) then(0, combination.sum.extent(0));
}

MessageExchange::MessageExchange(const Group& group, std::int64_t hidden, DType dtype, const Stream& stream)
    : group_(group), hidden_(hidden), dtype_(dtype), stream_(&stream) {}

MessageExchange::~MessageExchange() = default;

Flight MessageExchange::begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) {
  Buffers& buffers = flights_.take([&] { return std::make_unique<Buffers>(*this); });
  Flight flight(buffers);
  buffers.begin(plan, departure, phase);
  return flight;
}

}  // namespace coe
