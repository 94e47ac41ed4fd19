#include "runtime/exchange/stream_exchange.h"

#include <algorithm>
#include <limits>

namespace coe {

/// One flight over windows of a device.
class StreamExchange::Buffers : public FlightBuffers {
 public:
  explicit Buffers(StreamExchange& exchange) : exchange_(exchange) {}

  void begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase);
  void await_arrival() override { meeting_->follow(stream(), phase_); }
  ExpertRows arrived() override { return rows_of(*arrivals_); }
  ExpertRows results() override { return rows_of(*results_); }
  void send_back(const Phase& phase) override;
  void await_return() override { meeting_->follow(stream(), phase_); }
  void combine(const Combination& combination, const TokensSummed& then) override;
  std::int64_t bytes_sent() const override { return 0; }
  void release() noexcept override;

 private:
  const Stream& stream() const { return *exchange_.stream_; }
  bool with_scalar() const { return departure_.scalar != nullptr; }
  ExpertRows rows_of(const Place& place) const {
    return {place.window->rows(), with_scalar() ? place.window->scalar() : Tensor(), plan_->expert_offsets};
  }
  void clear_padding() const;

  StreamExchange& exchange_;
  StreamMeeting* meeting_ = nullptr;
  Place *arrivals_ = nullptr, *results_ = nullptr;
  const DispatchPlan* plan_ = nullptr;
  Departure departure_;
  Phase phase_;
};

StreamExchange::StreamExchange(const Group& group, std::int64_t hidden, DType dtype, const Stream& stream,
                               const FlightHint& hint)
    : group_(group), hidden_(hidden), dtype_(dtype), stream_(&stream) {
  meetings_.give_back(take_meeting());  // a group that cannot meet is told so at once
  for (int i = 0; i < hint.arrivals && hint.rows > 0; ++i) take(arrivals_, hint.rows);
  for (int i = 0; i < hint.results && hint.rows > 0; ++i) take(results_, hint.rows);
  for (const auto& made : arrivals_.all()) arrivals_.give_back(*made);
  for (const auto& made : results_.all()) results_.give_back(*made);
}

StreamExchange::~StreamExchange() = default;

StreamMeeting& StreamExchange::take_meeting() {
  return meetings_.take([&] { return std::make_unique<StreamMeeting>(group_, stream_->device()); });
}

StreamExchange::Place& StreamExchange::take(FlightPool<Place>& pool, std::int64_t rows) {
  check(rows <= std::numeric_limits<std::int32_t>::max(), "stream exchange: a rank may get ", rows,
        " rows, at most 2^31 - 1");
  Place& place = pool.take([] { return std::make_unique<Place>(); });
  if (place.window != nullptr && place.window->room() >= rows) return place;
  if (place.window != nullptr) {
    ++growths_;
    group_.transport->park(std::move(place.window));  // other streams may still be at it
  }
  place.window = std::make_unique<StreamWindow>(group_, std::max<std::int64_t>(rows, 1), hidden_, dtype_, *stream_);
  return place;
}

Flight StreamExchange::begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) {
  Buffers& buffers = flights_.take([&] { return std::make_unique<Buffers>(*this); });
  Flight flight(buffers);
  buffers.begin(plan, departure, phase);
  return flight;
}

void StreamExchange::Buffers::begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) {
  plan_ = &plan;
  departure_ = departure;
  phase_ = phase;
  meeting_ = &exchange_.take_meeting();
  arrivals_ = &exchange_.take(exchange_.arrivals_, plan.most_rows);
  results_ = &exchange_.take(exchange_.results_, plan.most_rows);
  if (plan.padded_rows > 0) clear_padding();
  cuda::scatter_rows(*departure.x, with_scalar() ? *departure.scalar : Tensor(), plan.places,
                     arrivals_->window->blocks(with_scalar()), stream());
  meeting_->arrive(stream());
}

void StreamExchange::Buffers::clear_padding() const {
  const Tensor& ends = plan_->row_ends;
  const ExpertRows rows = rows_of(*arrivals_);
  cuda::clear_runs_of_rows(rows.rows, rows.scalar, ends, plan_->expert_offsets.rows(1, ends.elements()), stream());
}

void StreamExchange::Buffers::send_back(const Phase& phase) {
  phase_ = phase;
  if (!departure_.keep) exchange_.arrivals_.give_back(*std::exchange(arrivals_, nullptr));
  meeting_->arrive(stream());
}

void StreamExchange::Buffers::combine(const Combination& combination, const TokensSummed& then) {
  const cuda::RowBlocks blocks = results_->window->blocks(with_scalar());
  cuda::combine_rows(blocks, plan_->places, departure_.weights, combination.shared, combination.residual,
                     combination.lost, combination.sum, stream());
  if (combination.scalar != nullptr) cuda::collect_scalars(blocks, plan_->places, *combination.scalar, stream());
  if (then) then(0, combination.sum.extent(0));
  exchange_.results_.give_back(*std::exchange(results_, nullptr));
  exchange_.meetings_.give_back(*std::exchange(meeting_, nullptr));
}

// A stream that is given more work meets the others' streams before it touches what they may still read. A meeting that
// was not followed to its end is of no further use.
void StreamExchange::Buffers::release() noexcept {
  meeting_ = nullptr;
  if (results_ != nullptr) exchange_.results_.give_back(*std::exchange(results_, nullptr));
  if (arrivals_ != nullptr) exchange_.arrivals_.give_back(*std::exchange(arrivals_, nullptr));
  exchange_.flights_.give_back(*this);
}

}  // namespace coe
