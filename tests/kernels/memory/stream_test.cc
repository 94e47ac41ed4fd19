#include "kernels/memory/stream.h"

#include "tests/kernels/memory/on_device.h"
#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

TEST(Stream, OfTheCpuIsAlwaysDone) {
  const Stream stream;
  const Event event(kCpu);
  event.record(stream);
  event.hold(stream);
  EXPECT_TRUE(stream.done());
  EXPECT_TRUE(event.done());
  EXPECT_EQ(thrown_code([&] { Graph::begin_capture(stream); }), ErrorCode::kInternal);
}

class StreamCuda : public OnCuda {};

TEST_F(StreamCuda, EventsOrderStreamsAndGraphsReplayThem) {
  const Stream other(kCuda);
  const Event forked(kCuda), joined(kCuda);
  const Tensor first = put(Ints({1}, {1})), second = room(DType::kI32, {1});
  Graph::begin_capture(stream_);
  forked.record(stream_);
  forked.hold(other);
  copy(first, second, other);
  joined.record(other);
  joined.hold(stream_);
  const Graph graph = Graph::end_capture(stream_);
  fill(first, 7, stream_);
  graph.launch(stream_);
  EXPECT_EQ(get<std::int32_t>(second)[0], 7);
}

}  // namespace
}  // namespace coe
