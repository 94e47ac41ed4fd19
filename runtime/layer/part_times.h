#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <vector>

#include "comm/task.h"
#include "kernels/memory/stream.h"
#include "runtime/layer/part.h"
#include "runtime/layer/step_trace.h"

namespace coe {

/// When a stream goes from one Part's work to another's, by events, so that nobody waits. Keeps them from start() to
/// read() alone. Views the stream.
class StreamClock {
 public:
  explicit StreamClock(const Stream& stream) : stream_(&stream) {}

  /// Forgets what it kept.
  void start();
  /// What the stream is given from now on belongs to the Part; nothing: to none.
  void enter(std::optional<Part> part, const Place& place);
  std::optional<Part> now() const { return now_; }
  /// Calls add(span) for all since start(), and keeps no more; the stream must be done. Where it was idle before the
  /// first of them, their times are the host's to some microseconds.
  template <class Add>
  void read(const Add& add) {
    for (std::size_t i = 0; i + 1 < marks_.size(); ++i) {
      if (!marks_[i].part) continue;
      const auto at = [&](std::size_t mark) { return began_ + events_[mark].seconds_since(events_[0]); };
      add(Span{Span::Track::kStream, *marks_[i].part, marks_[i].place, at(i), at(i + 1)});
    }
    start();
    runs_ = false;
  }

 private:
  struct Mark {
    std::optional<Part> part;
    Place place;
  };
  const Stream* stream_;
  bool runs_ = false;
  double began_ = 0;  ///< when the first mark was given
  std::optional<Part> now_;
  std::vector<Mark> marks_;
  std::vector<Event> events_;  ///< of each mark; kept for the next
};

/// Seconds per Part, added up; one rank's.
struct PartTimes {
  std::array<double, kPartNames.size()> seconds{};
  Place place;                   ///< of what is timed next
  StreamClock* there = nullptr;  ///< measures instead of the host's clock, where work is a stream's; viewed
  StepTrace* trace = nullptr;    ///< gets every span as well; viewed
  double& operator[](Part part) { return seconds[static_cast<std::size_t>(part)]; }
  double operator[](Part part) const { return seconds[static_cast<std::size_t>(part)]; }
};

/// Adds the time from its making to its end to one Part; where it runs inside another Part's, takes it off that one.
class PartTimer {
 public:
  PartTimer(PartTimes& times, Part part, std::optional<Part> inside = {});
  ~PartTimer();
  PartTimer(const PartTimer&) = delete;
  PartTimer& operator=(const PartTimer&) = delete;

 private:
  PartTimes& times_;
  Part part_;
  std::optional<Part> inside_, outer_;
  Place place_;
  double start_;
};

/// A Need whose waiting and taking are timed as a Part; what is timed after it is of the same place again.
template <class Inner>
class Timed : public Need<Timed<Inner>> {
 public:
  Timed(PartTimes& times, Part part, Inner inner) : times_(&times), part_(part), place_(times.place), inner_(inner) {}
  void meet() {
    times_->place = place_;
    const PartTimer timer(*times_, part_);
    inner_.meet();
  }
  auto take() {
    times_->place = place_;
    const PartTimer timer(*times_, part_);
    return inner_.take();
  }

 private:
  PartTimes* times_;
  Part part_;
  Place place_;
  Inner inner_;
};

}  // namespace coe
