#include "kernels/memory/device_calls.h"

#include "tests/kernels/memory/on_device.h"
#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

TEST(DeviceCalls, ThrowWhereThereIsNoDevice) {
  if (cuda_devices() > 0) GTEST_SKIP() << "there is a CUDA device";
  EXPECT_THROW(cuda::allocate(64, 0), Error);
  EXPECT_THROW(cuda::make_stream(0), Error);
  EXPECT_THROW(cuda::make_event(0), Error);
  EXPECT_THROW(cuda_device_name(0), Error);
}

class DeviceCallsCuda : public OnCuda {};

TEST_F(DeviceCallsCuda, MemoryThatIsNotThereIsNamed) {
  constexpr std::size_t kTooMuch = std::size_t{1} << 50;
  EXPECT_EQ(thrown_code([] { cuda::allocate(kTooMuch, 0); }), ErrorCode::kSystem);
  cuda::release(cuda::allocate(64, 0), 0);  // and the device goes on
}

TEST_F(DeviceCallsCuda, ADeviceThatIsNotThereIsRefused) {
  EXPECT_EQ(thrown_code([] { cuda::make_stream(cuda_devices()); }), ErrorCode::kSystem);
  EXPECT_FALSE(cuda_device_name(0).empty());
}

TEST_F(DeviceCallsCuda, EventsTellTimeAndOrder) {
  const std::int64_t numbers = std::int64_t{1} << 22;
  const Event begin(kCuda), end(kCuda);
  const Tensor x = room(DType::kF32, {numbers});
  EXPECT_TRUE(begin.done());  // none was recorded
  begin.record(stream_);
  for (int i = 0; i < 20; ++i) fill(x, 1, stream_);
  end.record(stream_);
  wait();
  EXPECT_TRUE(begin.done() && end.done());
  // 16 MiB written 20 times: no device does it in a microsecond, nor takes a minute.
  EXPECT_GT(end.seconds_since(begin), 1e-6);
  EXPECT_LT(end.seconds_since(begin), 60);
}

TEST_F(DeviceCallsCuda, AStreamThatHoldsAnEventSeesWhatCameBeforeIt) {
  const std::int64_t numbers = std::int64_t{1} << 20;
  const Stream other(kCuda);
  const Event written(kCuda);
  const Tensor from = room(DType::kF32, {numbers}), to = room(DType::kF32, {numbers});
  wait();
  for (int i = 0; i <= 20; ++i) fill(from, static_cast<float>(i), stream_);
  written.record(stream_);
  written.hold(other);
  copy(from, to, other);
  while (!other.done()) std::this_thread::sleep_for(std::chrono::microseconds(50));
  const Floats got = get<float>(to);
  EXPECT_TRUE(std::ranges::all_of(got, [](float value) { return value == 20; }));
}

TEST_F(DeviceCallsCuda, ACaptureThatIsNotJoinedFails) {
  const Stream other(kCuda);
  const Event fork(kCuda);
  const Tensor x = room(DType::kF32, {4});
  wait();
  Graph::begin_capture(stream_);
  fork.record(stream_);
  fork.hold(other);
  clear(x, other);
  EXPECT_EQ(thrown_code([&] { Graph::end_capture(stream_); }), ErrorCode::kSystem);
}

}  // namespace
}  // namespace coe
