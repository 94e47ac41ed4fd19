#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "comm/task.h"
#include "kernels/memory/stream.h"

namespace coe {

/// What a step's time goes to; communication phases include the waiting for others.
enum class Part { kData, kAttention, kGate, kPlan, kDispatch, kExperts, kCombine, kHead, kReduce, kOptimiser };

inline constexpr std::array<std::string_view, 10> kPartNames = {"data",    "attention", "gate", "plan",   "dispatch",
                                                                "experts", "combine",   "head", "reduce", "optimiser"};

/// When a stream goes from one Part's work to another's, by events, so that nobody waits. Views the stream.
class StreamClock {
 public:
  explicit StreamClock(const Stream& stream) : stream_(&stream) {}

  /// What the stream is given from now on belongs to the Part; nothing: to none.
  void enter(std::optional<Part> part);
  std::optional<Part> now() const { return now_; }
  /// Calls add(part, seconds) for all since the last call; the stream must be done.
  template <class Add>
  void read(const Add& add) {
    for (std::size_t i = 0; i + 1 < marks_.size(); ++i) {
      if (marks_[i]) add(*marks_[i], events_[i + 1].seconds_since(events_[i]));
    }
    marks_.clear();
    now_.reset();
  }

 private:
  const Stream* stream_;
  std::optional<Part> now_;
  std::vector<std::optional<Part>> marks_;
  std::vector<Event> events_;  ///< of each mark; kept for the next
};

/// Seconds per Part, added up; one rank's.
struct PartTimes {
  std::array<double, kPartNames.size()> seconds{};
  StreamClock* there = nullptr;  ///< measures instead of the host's clock, where work is a stream's; viewed
  double& operator[](Part part) { return seconds[static_cast<std::size_t>(part)]; }
  double operator[](Part part) const { return seconds[static_cast<std::size_t>(part)]; }
};

/// Adds the time from its making to its end to one Part; where it runs inside another Part's, takes it off that one.
class PartTimer {
 public:
  PartTimer(PartTimes& times, Part part, std::optional<Part> inside = {})
      : times_(times), part_(part), inside_(inside), start_(Clock::now()) {
    if (times_.there == nullptr) return;
    outer_ = times_.there->now();
    times_.there->enter(part);
  }
  ~PartTimer() {
    if (times_.there != nullptr) {
      times_.there->enter(outer_);
      return;
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    times_[part_] += seconds;
    if (inside_) times_[*inside_] -= seconds;
  }
  PartTimer(const PartTimer&) = delete;
  PartTimer& operator=(const PartTimer&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  PartTimes& times_;
  Part part_;
  std::optional<Part> inside_, outer_;
  Clock::time_point start_;
};

/// A Need whose waiting and taking are timed as a Part.
template <class Inner>
class Timed : public Need<Timed<Inner>> {
 public:
  Timed(PartTimes& times, Part part, Inner inner) : times_(&times), part_(part), inner_(inner) {}
  void meet() {
    const PartTimer timer(*times_, part_);
    inner_.meet();
  }
  auto take() {
    const PartTimer timer(*times_, part_);
    return inner_.take();
  }

 private:
  PartTimes* times_;
  Part part_;
  Inner inner_;
};

}  // namespace coe
