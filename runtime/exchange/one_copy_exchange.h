#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "comm/wait.h"
#include "runtime/exchange/exchange.h"
#include "runtime/exchange/flight_pool.h"
#include "runtime/exchange/row_mail.h"
#include "runtime/exchange/row_window.h"

namespace coe {

/// Rows are copied once. Between ranks of one machine a row is written to its final place at the expert's rank, and
/// what the expert makes of it is read from there by the rank that adds it up; a number raised in a window says that
/// rows are there, another that they are no longer needed, each counting the flights, so that no stale row is taken for
/// a new one. Other ranks are reached by mail. Windows grow by doubling; every rank sees in the plan that one must.
class OneCopyExchange : public Exchange {
 public:
  /// `group` is the expert-parallel group. Collective.
  OneCopyExchange(Group group, std::int64_t hidden, const FlightHint& hint = {});
  ~OneCopyExchange() override;

  Flight begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) override;
  std::int64_t bytes_sent() const override { return bytes_sent_; }
  int growths() const override;
  /// Bytes of this rank's parts of all windows.
  std::size_t window_bytes() const;
  /// Bytes that this rank keeps for messages.
  std::size_t mail_bytes() const;

 private:
  class Buffers;
  /// Where experts leave results, and the mail of one flight.
  struct Results : PostedMemory {
    Results(const Group& group, std::int64_t hidden, const std::vector<bool>& by_message);
    RowWindow window;
    RowMail mail;
    std::vector<std::uint64_t> told;  ///< [R] the last flight that had rows of a home
  };
  struct Arrivals : PostedMemory {
    Arrivals(const Group& group, std::int64_t hidden) : window(group, hidden) {}
    RowWindow window;
  };

  Group group_;
  std::int64_t hidden_;
  std::vector<bool> by_message_;  ///< [R] ranks that windows do not show
  FlightPool<Arrivals> arrivals_;
  FlightPool<Results> results_;
  FlightPool<Buffers> flights_;
  std::int64_t bytes_sent_ = 0;
};

}  // namespace coe
