#include "runtime/exchange/staged_exchange.h"

#include <algorithm>
#include <span>
#include <vector>

#include "comm/wait.h"
#include "kernels/memory/buffer.h"
#include "kernels/memory/copy.h"
#include "runtime/ranks/read_back.h"

namespace coe {
namespace {

/// Rows with a float beside each, in memory of one device, for as many as were ever asked for.
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
  const Tensor& rows() const { return rows_; }
  const Tensor& scalar() const { return scalar_; }

 private:
  std::int64_t room_ = 0;
  Buffer row_memory_, scalar_memory_;
  Tensor rows_, scalar_;
};

/// Some of them that travel together, to or from a rank.
struct Run {
  int peer = 0;
  std::int64_t first = 0, count = 0;
};

}  // namespace

/// One flight: rows by expert of this rank's tokens (`out`), and by (expert, source) of this rank's experts (`in`),
/// each on the device and on the host. Results take the same ways back.
class StagedExchange::Buffers : public FlightBuffers {
 public:
  explicit Buffers(StagedExchange& exchange) : exchange_(exchange) {}

  void begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase);
  void await_arrival() override;
  ExpertRows arrived() override { return rows_of(in_); }
  ExpertRows results() override { return rows_of(results_); }
  void send_back(const Phase& phase) override;
  void await_return() override;
  void combine(const Combination& combination, const TokensSummed& then) override;
  std::int64_t bytes_sent() const override { return bytes_sent_; }
  void release() noexcept override { exchange_.flights_.give_back(*this); }

 private:
  const Stream& stream() const { return *exchange_.stream_; }
  bool with_scalar() const { return departure_.scalar != nullptr; }
  int ranks() const { return exchange_.group_.size(); }
  ExpertRows rows_of(const RowRoom& room) const {
    return {room.rows().rows(0, rows_in_), with_scalar() ? room.scalar().rows(0, rows_in_) : Tensor(),
            plan_->expert_offsets};
  }
  cuda::RowBlocks blocks() const { return {address_.rows(0, 1), with_scalar() ? address_.rows(1, 1) : Tensor()}; }
  /// What travels, from the table of all ranks.
  void lay_out(const std::vector<std::int32_t>& table);
  void make_room();
  /// Between device and host, and waits for the stream.
  void move(const RowRoom& from, const RowRoom& to, std::int64_t rows, const Phase& phase) const;
  /// Sends the rows of one side to whom they concern, and receives those of the other.
  void post(const RowRoom& from, const std::vector<Run>& leaving, const RowRoom& to, const std::vector<Run>& coming,
            const Phase& phase);
  void list(const RowRoom& room, const std::vector<Run>& runs, std::vector<Piece>& pieces,
            std::vector<Message>& messages) const;

  StagedExchange& exchange_;
  const DispatchPlan* plan_ = nullptr;
  Departure departure_;
  Phase phase_;
  RowRoom out_, in_, results_, host_out_, host_in_;
  std::int64_t rows_out_ = 0, rows_in_ = 0;
  std::vector<Run> out_runs_,
      in_runs_;  ///< by rank, and by expert: this rank's rows for it, a rank's rows for this one
  std::vector<Piece> sent_pieces_, received_pieces_;
  std::vector<Message> sends_, receives_;
  std::vector<std::int64_t> addresses_;
  Buffer address_memory_;
  Tensor address_;  ///< int64 [2] on the device: of out_'s rows and scalars
  Ticket ticket_;
  std::int64_t bytes_sent_ = 0;
};

void StagedExchange::Buffers::lay_out(const std::vector<std::int32_t>& table) {
  const Group& group = exchange_.group_;
  const auto* first = plan_->first_place.data<std::int32_t>();
  const std::int32_t experts = first[ranks()];
  const auto rows = [&](int rank, std::int32_t expert) {
    return std::int64_t{
        table[static_cast<std::size_t>(rank) * static_cast<std::size_t>(experts) + static_cast<std::size_t>(expert)]};
  };
  out_runs_.clear();
  in_runs_.clear();
  rows_out_ = rows_in_ = 0;
  for (int peer = 0; peer < ranks(); ++peer) {
    for (std::int32_t expert = first[peer]; expert < first[peer + 1]; ++expert) {
      const std::int64_t count = rows(group.rank(), expert);
      out_runs_.push_back({peer, rows_out_, count});
      rows_out_ += count;
    }
  }
  for (std::int32_t expert = first[group.rank()]; expert < first[group.rank() + 1]; ++expert) {
    std::int64_t next = rows_in_;
    for (int peer = 0; peer < ranks(); ++peer) {
      in_runs_.push_back({peer, next, rows(peer, expert)});
      next += rows(peer, expert);
    }
    rows_in_ = plan_->padded_rows > 0 ? rows_in_ + plan_->padded_rows : next;
  }
  std::ranges::stable_sort(in_runs_, {}, &Run::peer);
}

void StagedExchange::Buffers::make_room() {
  const auto reserve = [&](RowRoom& room, std::int64_t rows, Device device) {
    room.reserve(rows, exchange_.hidden_, exchange_.dtype_, device);
  };
  const Device there = stream().device();
  reserve(out_, rows_out_, there);
  reserve(in_, rows_in_, there);
  reserve(results_, rows_in_, there);
  reserve(host_out_, rows_out_, kCpu);
  reserve(host_in_, rows_in_, kCpu);
  if (address_.elements() == 0) {
    address_memory_ = Buffer(2 * sizeof(std::int64_t), there);
    address_ = Tensor(address_memory_.data(), DType::kI64, {2}, there);
  }
  addresses_ = {reinterpret_cast<std::int64_t>(out_.rows().raw()), reinterpret_cast<std::int64_t>(out_.scalar().raw())};
  copy(Tensor(addresses_.data(), DType::kI64, {2}), address_, stream());
}

void StagedExchange::Buffers::move(const RowRoom& from, const RowRoom& to, std::int64_t rows,
                                   const Phase& phase) const {
  copy(from.rows().rows(0, rows), to.rows().rows(0, rows), stream());
  if (with_scalar()) copy(from.scalar().rows(0, rows), to.scalar().rows(0, rows), stream());
  wait(exchange_.group_, stream(), phase);
}

void StagedExchange::Buffers::list(const RowRoom& room, const std::vector<Run>& runs, std::vector<Piece>& pieces,
                                   std::vector<Message>& messages) const {
  pieces.clear();
  pieces.reserve(2 * runs.size());
  messages.clear();
  const auto add = [&](const Tensor& part) { pieces.push_back({part.raw(), part.bytes()}); };
  for (auto run = runs.begin(); run != runs.end();) {
    const int peer = run->peer;
    const auto end = std::find_if(run, runs.end(), [&](const Run& one) { return one.peer != peer; });
    const std::size_t begin = pieces.size();
    for (auto one = run; one != end; ++one) {
      if (one->count > 0) add(room.rows().rows(one->first, one->count));
    }
    for (auto one = run; with_scalar() && one != end; ++one) {
      if (one->count > 0) add(room.scalar().rows(one->first, one->count));
    }
    if (pieces.size() > begin) messages.push_back({peer, std::span(pieces).subspan(begin)});
    run = end;
  }
}

void StagedExchange::Buffers::post(const RowRoom& from, const std::vector<Run>& leaving, const RowRoom& to,
                                   const std::vector<Run>& coming, const Phase& phase) {
  phase_ = phase;
  list(from, leaving, sent_pieces_, sends_);
  list(to, coming, received_pieces_, receives_);
  std::int64_t bytes = 0;
  for (const Message& message : sends_) {
    if (message.peer == exchange_.group_.rank()) continue;
    for (const Piece& piece : message.pieces) bytes += static_cast<std::int64_t>(piece.bytes);
  }
  bytes_sent_ += bytes;
  exchange_.bytes_sent_ += bytes;
  ticket_ = coe::post(exchange_.group_, sends_, receives_, phase);
}

void StagedExchange::Buffers::begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) {
  plan_ = &plan;
  departure_ = departure;
  bytes_sent_ = 0;
  lay_out(read_back<std::int32_t>(plan.rows, exchange_.group_, stream(), phase));
  make_room();
  cuda::scatter_rows(*departure.x, with_scalar() ? *departure.scalar : Tensor(), plan.places, blocks(), stream());
  move(out_, host_out_, rows_out_, phase);
  post(host_out_, out_runs_, host_in_, in_runs_, phase);
}

void StagedExchange::Buffers::await_arrival() {
  wait(exchange_.group_, ticket_, phase_);
  move(host_in_, in_, rows_in_, phase_);
  if (plan_->padded_rows == 0) return;
  const Tensor& ends = plan_->row_ends;
  const ExpertRows rows = arrived();
  cuda::clear_runs_of_rows(rows.rows, rows.scalar, ends, plan_->expert_offsets.rows(1, ends.elements()), stream());
}

void StagedExchange::Buffers::send_back(const Phase& phase) {
  move(results_, host_in_, rows_in_, phase);
  post(host_in_, in_runs_, host_out_, out_runs_, phase);
}

void StagedExchange::Buffers::await_return() {
  wait(exchange_.group_, ticket_, phase_);
  move(host_out_, out_, rows_out_, phase_);
}

void StagedExchange::Buffers::combine(const Combination& combination, const TokensSummed& then) {
  cuda::combine_rows(blocks(), plan_->places, departure_.weights, combination.shared, combination.residual,
                     combination.lost, combination.sum, stream());
  if (combination.scalar != nullptr) cuda::collect_scalars(blocks(), plan_->places, *combination.scalar, stream());
  if (then) then(0, combination.sum.extent(0));
}

StagedExchange::StagedExchange(const Group& group, std::int64_t hidden, DType dtype, const Stream& stream)
    : group_(group), hidden_(hidden), dtype_(dtype), stream_(&stream) {}

StagedExchange::~StagedExchange() = default;

Flight StagedExchange::begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) {
  Buffers& buffers = flights_.take([&] { return std::make_unique<Buffers>(*this); });
  Flight flight(buffers);
  buffers.begin(plan, departure, phase);
  return flight;
}

}  // namespace coe
