#include "runtime/exchange/one_copy_exchange.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/routing/rows.h"
#include "runtime/routing/token_blocks.h"

namespace coe {
namespace {

/// Ranks whose memory a window does not show; the same for every window of the group.
std::vector<bool> reached_by_message(Transport& transport) {
  const std::unique_ptr<Window> window = transport.make_window(1);
  std::vector<bool> ranks;
  for (int rank = 0; rank < window->size(); ++rank) ranks.push_back(window->of(rank) == nullptr);
  return ranks;
}

/// Zeros behind the rows of each expert.
void clear_padding(const DispatchPlan& plan, const ExpertRows& rows) {
  const std::int64_t experts = plan.segments.extent(0), ranks = plan.segments.extent(1);
  const auto* offsets = plan.expert_offsets.data<std::int32_t>();
  for (std::int64_t e = 0; e < experts; ++e) {
    const std::int32_t* segment = plan.segments.data<std::int32_t>() + e * ranks * 2;
    std::int64_t end = offsets[e];
    for (std::int64_t r = 0; r < ranks; ++r) end += segment[2 * r + 1];
    std::ranges::fill(rows.rows.rows(end, offsets[e + 1] - end).span<float>(), 0.0F);
    if (rows.scalar.elements() > 0) std::ranges::fill(rows.scalar.rows(end, offsets[e + 1] - end).span<float>(), 0.0F);
  }
}

}  // namespace

OneCopyExchange::Results::Results(const Group& group, std::int64_t hidden, const std::vector<bool>& by_message)
    : window(group, hidden), mail(hidden, by_message), told(static_cast<std::size_t>(group.size())) {}

/// One flight over windows and mail.
class OneCopyExchange::Buffers : public FlightBuffers {
 public:
  explicit Buffers(OneCopyExchange& exchange) : exchange_(exchange), group_(exchange.group_) {}

  void begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase);
  void await_arrival() override;
  ExpertRows arrived() override { return arrivals().rows_of(group_.rank(), *plan_, with_scalar()); }
  ExpertRows results() override { return returning().rows_of(group_.rank(), *plan_, with_scalar()); }
  void send_back(const Phase& phase) override;
  void await_return() override;
  void combine(const Combination& combination, const TokensSummed& then) override;
  std::int64_t bytes_sent() const override { return bytes_sent_; }
  void release() noexcept override;

 private:
  RowWindow& arrivals() const { return arrivals_->window; }
  RowWindow& returning() const { return results_->window; }
  RowMail& mail() const { return results_->mail; }
  bool with_scalar() const { return departure_.scalar != nullptr; }
  /// Whether a mapped rank has had its rows of the use before.
  bool free_at(int peer) const { return arrivals().signals().heard(peer, RowWindow::kDone) >= arrivals().number() - 1; }
  void write_rows(int peer);
  void write_late_rows();
  void release_arrivals() noexcept;
  void park() noexcept;
  /// Where the result of every choice lies: nullptr where it was dropped.
  void find_results();
  void count(std::span<const std::size_t> rows);
  template <class Visit>
  void for_each_mapped(std::span<const std::size_t> rows, const RowWindow& window, const Visit& visit) const {
    // From this rank on, so that not all ranks write to the first at once.
    for (int step = 0; step < group_.size(); ++step) {
      const int peer = (group_.rank() + step) % group_.size();
      if (rows[static_cast<std::size_t>(peer)] > 0 && window.mapped(peer)) visit(peer);
    }
  }
  /// Waits until every other mapped rank that has `rows` with this one has raised the window's number.
  void wait_for(std::span<const std::size_t> rows, const RowWindow& window, int channel);

  OneCopyExchange& exchange_;
  Group group_;
  Arrivals* arrivals_ = nullptr;
  Results* results_ = nullptr;
  const DispatchPlan* plan_ = nullptr;
  Departure departure_;
  Phase phase_;
  bool under_way_ = false;  ///< rows are on their way to this rank or from it
  std::int64_t bytes_sent_ = 0;
  std::vector<int> late_;  ///< ranks that have not yet had their rows of the use before
  std::vector<AwaitedSignal> awaited_;
  std::vector<const float*> rows_, scalars_;  ///< [choices]
};

OneCopyExchange::OneCopyExchange(Group group, std::int64_t hidden, const FlightHint& hint)
    : group_(group), hidden_(hidden), by_message_(reached_by_message(*group.transport)) {
  for (int i = 0; i < hint.arrivals && hint.rows > 0; ++i) {
    Arrivals& made = arrivals_.take([&] { return std::make_unique<Arrivals>(group_, hidden_); });
    made.window.fit(hint.rows);
  }
  for (int i = 0; i < hint.results && hint.rows > 0; ++i) {
    Results& made = results_.take([&] { return std::make_unique<Results>(group_, hidden_, by_message_); });
    made.window.fit(hint.rows);
  }
  for (const auto& made : arrivals_.all()) arrivals_.give_back(*made);
  for (const auto& made : results_.all()) results_.give_back(*made);
}

OneCopyExchange::~OneCopyExchange() = default;

Flight OneCopyExchange::begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) {
  Buffers& buffers = flights_.take([&] { return std::make_unique<Buffers>(*this); });
  Flight flight(buffers);
  buffers.begin(plan, departure, phase);
  return flight;
}

std::size_t OneCopyExchange::window_bytes() const {
  std::size_t bytes = 0;
  for (const auto& each : arrivals_.all()) bytes += each->window.bytes();
  for (const auto& each : results_.all()) bytes += each->window.bytes();
  return bytes;
}

std::size_t OneCopyExchange::mail_bytes() const {
  std::size_t bytes = 0;
  for (const auto& each : results_.all()) bytes += each->mail.bytes();
  return bytes;
}

int OneCopyExchange::growths() const {
  int growths = 0;
  for (const auto& each : arrivals_.all()) growths += each->window.growths();
  for (const auto& each : results_.all()) growths += each->window.growths();
  return growths;
}

void OneCopyExchange::Buffers::begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) {
  arrivals_ = &exchange_.arrivals_.take([&] { return std::make_unique<Arrivals>(group_, exchange_.hidden_); });
  results_ = &exchange_.results_.take(
      [&] { return std::make_unique<Results>(group_, exchange_.hidden_, exchange_.by_message_); });
  plan_ = &plan;
  departure_ = departure;
  phase_ = phase;
  under_way_ = true;
  bytes_sent_ = 0;
  late_.clear();
  arrivals().fit(plan.most_rows);
  returning().fit(plan.most_rows);
  arrivals().use();
  returning().use();
  // A window that was made anew has forgotten whom it told.
  if (returning().number() == 1) std::ranges::fill(results_->told, 0);
  mail().begin_dispatch(group_, plan, *departure.x, departure.scalar, arrived(), phase);
  for_each_mapped(plan.send_rows, arrivals(),
                  [&](int peer) { free_at(peer) ? write_rows(peer) : late_.push_back(peer); });
  count(plan.send_rows);
}

void OneCopyExchange::Buffers::write_rows(int peer) {
  const std::int64_t hidden = exchange_.hidden_;
  const auto *token = plan_->send_token.data<std::int32_t>(), *choice = plan_->send_choice.data<std::int32_t>();
  const auto* landing = plan_->landing.data<std::int32_t>();
  const auto counts = plan_->send_rows.first(static_cast<std::size_t>(peer));
  const auto first = static_cast<std::int64_t>(std::accumulate(counts.begin(), counts.end(), std::size_t{0}));
  const std::int64_t end = first + static_cast<std::int64_t>(plan_->send_rows[static_cast<std::size_t>(peer)]);
  const ExpertRows places = arrivals().rows_of(peer, *plan_, with_scalar());
  const auto *x = departure_.x->data<float>(), *scalar = with_scalar() ? departure_.scalar->data<float>() : nullptr;
  for (std::int64_t row = first; row < end; ++row) {
    std::copy_n(x + token[row] * hidden, hidden, places.rows.data<float>() + landing[row] * hidden);
    if (scalar != nullptr) places.scalar.data<float>()[landing[row]] = scalar[choice[row]];
  }
  arrivals().signals().raise(peer, RowWindow::kReady, arrivals().number());
}

void OneCopyExchange::Buffers::write_late_rows() {
  if (late_.empty()) return;
  awaited_.clear();
  for (const int peer : late_) awaited_.push_back({peer, RowWindow::kDone, arrivals().number() - 1});
  wait(group_, arrivals().signals(), awaited_, 0, phase_);
  for (const int peer : late_) write_rows(peer);
  late_.clear();
}

void OneCopyExchange::Buffers::wait_for(std::span<const std::size_t> rows, const RowWindow& window, int channel) {
  awaited_.clear();
  std::size_t bytes = 0;
  for_each_mapped(rows, window, [&](int peer) {
    if (peer == group_.rank()) return;
    awaited_.push_back({peer, channel, window.number()});
    bytes += rows[static_cast<std::size_t>(peer)] * static_cast<std::size_t>(exchange_.hidden_) * sizeof(float);
  });
  if (!awaited_.empty()) wait(group_, window.signals(), awaited_, bytes, phase_);
}

void OneCopyExchange::Buffers::await_arrival() {
  write_late_rows();
  wait_for(plan_->receive_rows, arrivals(), RowWindow::kReady);
  mail().finish(group_, phase_);
  if (plan_->expert_rows() > plan_->rows_received()) clear_padding(*plan_, arrived());
  awaited_.clear();
  for (int peer = 0; peer < group_.size(); ++peer) {
    const std::uint64_t told = results_->told[static_cast<std::size_t>(peer)];
    if (told > 0) awaited_.push_back({peer, RowWindow::kDone, told});
  }
  if (!awaited_.empty()) wait(group_, returning().signals(), awaited_, 0, phase_);
  under_way_ = false;
}

void OneCopyExchange::Buffers::send_back(const Phase& phase) {
  phase_ = phase;
  under_way_ = true;
  if (!departure_.keep) release_arrivals();
  const RowWindow& window = returning();
  for_each_mapped(plan_->receive_rows, window, [&](int peer) {
    results_->told[static_cast<std::size_t>(peer)] = window.number();
    window.signals().raise(peer, RowWindow::kReady, window.number());
  });
  mail().begin_combine(group_, *plan_, results(), phase);
  count(plan_->receive_rows);
}

void OneCopyExchange::Buffers::await_return() {
  wait_for(plan_->send_rows, returning(), RowWindow::kReady);
  mail().finish(group_, phase_);
}

void OneCopyExchange::Buffers::combine(const Combination& combination, const TokensSummed& then) {
  find_results();
  for_each_token_block(combination.sum, [&](std::int64_t first, std::int64_t count) {
    combine_rows(rows_, plan_->offsets.rows(first, count + 1), departure_.weights, combination.sum.rows(first, count));
    add_rest(combination, first, count);
    if (then) then(first, count);
  });
  for (std::size_t j = 0; combination.scalar != nullptr && j < scalars_.size(); ++j) {
    combination.scalar->data<float>()[j] = scalars_[j] == nullptr ? 0.0F : *scalars_[j];
  }
  const RowWindow& window = returning();
  for_each_mapped(plan_->send_rows, window,
                  [&](int peer) { window.signals().raise(peer, RowWindow::kDone, window.number()); });
  under_way_ = false;
  exchange_.results_.give_back(*std::exchange(results_, nullptr));
}

void OneCopyExchange::Buffers::find_results() {
  const std::int64_t hidden = exchange_.hidden_;
  const auto choices = static_cast<std::size_t>(plan_->place.elements());
  rows_.assign(choices, nullptr);
  scalars_.assign(choices, nullptr);
  const auto *choice = plan_->send_choice.data<std::int32_t>(), *landing = plan_->landing.data<std::int32_t>();
  std::int64_t sent = 0;
  for (int peer = 0; peer < group_.size(); ++peer) {
    const std::int64_t end = sent + static_cast<std::int64_t>(plan_->send_rows[static_cast<std::size_t>(peer)]);
    const bool direct = returning().mapped(peer);
    const ExpertRows results = direct ? returning().rows_of(peer, *plan_, with_scalar()) : ExpertRows{};
    for (; sent < end; ++sent) {
      const auto j = static_cast<std::size_t>(choice[sent]);
      rows_[j] = direct ? results.rows.data<float>() + landing[sent] * hidden : mail().row(peer, sent);
      if (!with_scalar()) continue;
      scalars_[j] = direct ? results.scalar.data<float>() + landing[sent] : mail().scalar(peer, sent);
    }
  }
}

void OneCopyExchange::Buffers::count(std::span<const std::size_t> rows) {
  const std::size_t all = std::accumulate(rows.begin(), rows.end(), std::size_t{0});
  const std::size_t elsewhere = all - rows[static_cast<std::size_t>(group_.rank())];
  const auto bytes =
      static_cast<std::int64_t>(elsewhere * sizeof(float)) * (exchange_.hidden_ + (with_scalar() ? 1 : 0));
  bytes_sent_ += bytes;
  exchange_.bytes_sent_ += bytes;
}

void OneCopyExchange::Buffers::release_arrivals() noexcept {
  for (int peer = 0; peer < group_.size(); ++peer) {
    if (arrivals().mapped(peer)) arrivals().signals().raise(peer, RowWindow::kDone, arrivals().number());
  }
  exchange_.arrivals_.give_back(*std::exchange(arrivals_, nullptr));
}

void OneCopyExchange::Buffers::release() noexcept {
  if (std::exchange(under_way_, false)) park();
  if (results_ != nullptr) exchange_.results_.give_back(*std::exchange(results_, nullptr));
  if (arrivals_ != nullptr) release_arrivals();
  exchange_.flights_.give_back(*this);
}

// Nobody can call a message back, and a mapped peer may be writing: this memory is of no further use.
void OneCopyExchange::Buffers::park() noexcept {
  Transport& transport = *group_.transport;
  transport.park(exchange_.results_.remove(*std::exchange(results_, nullptr)));
  if (arrivals_ != nullptr) transport.park(exchange_.arrivals_.remove(*std::exchange(arrivals_, nullptr)));
}

}  // namespace coe
