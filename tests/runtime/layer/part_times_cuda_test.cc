#include "runtime/layer/part_times.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

class StreamClockCuda : public OnCuda {
 protected:
  void work(PartTimes& times) {
    const PartTimer outer(times, Part::kExperts);
    fill(room(DType::kF32, {1000}), 1, stream_);
    const PartTimer inner(times, Part::kGate);
    fill(room(DType::kF32, {1000}), 2, stream_);
  }
  std::vector<Part> read(StreamClock& clock) {
    wait();
    std::vector<Part> parts;
    double last = 0;
    clock.read([&](const Span& span) {
      parts.push_back(span.part);
      EXPECT_GE(span.begin, last);
      EXPECT_GE(span.end, span.begin);
      EXPECT_EQ(span.place.layer, 3);
      last = span.end;
    });
    return parts;
  }
};

TEST_F(StreamClockCuda, KeepsTheStreamsPartsFromStartToRead) {
  StreamClock clock(stream_);
  PartTimes times;
  times.place.layer = 3;
  times.there = &clock;
  work(times);
  EXPECT_TRUE(read(clock).empty()) << "nobody asked";
  clock.start();
  work(times);
  const std::vector<Part> wanted = {Part::kExperts, Part::kGate, Part::kExperts};
  EXPECT_EQ(read(clock), wanted);
  work(times);  // as a validation between two steps
  EXPECT_TRUE(read(clock).empty());
  clock.start();
  work(times);
  clock.start();
  work(times);
  EXPECT_EQ(read(clock), wanted);
}

}  // namespace
}  // namespace coe
