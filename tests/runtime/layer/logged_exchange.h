#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/exchange/exchange.h"

namespace coe {

/// An Exchange that notes what is asked of it in which order: "begin 0", "arrived 0", "back 0", "returned 0" of flight
/// 0.
class LoggedExchange : public Exchange {
 public:
  explicit LoggedExchange(std::unique_ptr<Exchange> inner) : inner_(std::move(inner)) {}

  Flight begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) override {
    flights_.push_back(std::make_unique<Logged>(*this, flights_.size()));
    flights_.back()->note("begin");
    flights_.back()->flight = inner_->begin(plan, departure, phase);
    return Flight(*flights_.back());
  }
  std::int64_t bytes_sent() const override { return inner_->bytes_sent(); }
  int growths() const override { return inner_->growths(); }
  const std::vector<std::string>& log() const { return log_; }

 private:
  struct Logged : FlightBuffers {
    Logged(LoggedExchange& exchange, std::size_t flight_number) : log(&exchange.log_), number(flight_number) {}
    void note(const std::string& what) { log->push_back(what + " " + std::to_string(number)); }
    void await_arrival() override {
      rows = flight.arrived().get();
      note("arrived");
    }
    ExpertRows arrived() override { return rows; }
    ExpertRows results() override { return flight.results(); }
    void send_back(const Phase& phase) override {
      note("back");
      flight.send_back(phase);
    }
    void await_return() override {
      flight.await_return();
      note("returned");
    }
    void combine(const Combination& combination, const TokensSummed& then) override {
      flight.combine(combination, then).take();
    }
    std::int64_t bytes_sent() const override { return flight.bytes_sent(); }
    void release() noexcept override { flight = {}; }

    std::vector<std::string>* log;
    std::size_t number;
    Flight flight;
    ExpertRows rows;
  };

  std::unique_ptr<Exchange> inner_;
  std::vector<std::unique_ptr<Logged>> flights_;
  std::vector<std::string> log_;
};

}  // namespace coe
