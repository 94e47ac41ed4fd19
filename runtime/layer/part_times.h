#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

#include "comm/task.h"

namespace coe {

/// What a step's time goes to; communication phases include the waiting for others.
enum class Part { kData, kAttention, kGate, kPlan, kDispatch, kExperts, kCombine, kHead, kReduce, kOptimiser };

inline constexpr std::array<std::string_view, 10> kPartNames = {"data",    "attention", "gate", "plan",   "dispatch",
                                                                "experts", "combine",   "head", "reduce", "optimiser"};

/// Seconds per Part, added up; one rank's.
struct PartTimes {
  std::array<double, kPartNames.size()> seconds{};
  double& operator[](Part part) { return seconds[static_cast<std::size_t>(part)]; }
  double operator[](Part part) const { return seconds[static_cast<std::size_t>(part)]; }
};

/// Adds the time from its making to its end to one Part; where it runs inside another Part's, takes it off that one.
class PartTimer {
 public:
  PartTimer(PartTimes& times, Part part, std::optional<Part> inside = {})
      : times_(times), part_(part), inside_(inside), start_(Clock::now()) {}
  ~PartTimer() {
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
  std::optional<Part> inside_;
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
