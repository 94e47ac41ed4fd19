#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "runtime/layer/part.h"

namespace coe {

/// Where in a model something happens.
struct Place {
  int layer = -1, iteration = -1, chunk = 0;
  bool backward = false;
};

/// Something that took time; plain bytes, for other ranks to be told.
struct Span {
  enum class Track : std::uint8_t {
    kHost,      ///< the rank's thread
    kStream,    ///< its stream's work on a device
    kFlight,    ///< rows of a chunk, from when they are sent until their results are combined
    kReduction  ///< gradients, from when they are sent until they are added up
  };
  Track track = Track::kHost;
  Part part = Part::kData;
  Place place;
  double begin = 0, end = 0;  ///< seconds since the machine's steady clock began
};

/// What a rank's steps did when, for a picture of them.
class StepTrace {
 public:
  static double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }

  void add(const Span& span) { spans_.push_back(span); }
  const std::vector<Span>& spans() const { return spans_; }

 private:
  std::vector<Span> spans_;
};

}  // namespace coe
