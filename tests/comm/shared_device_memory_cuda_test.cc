#include "comm/shared_device_memory.h"

#include <unistd.h>

#include <optional>

#include "kernels/memory/device_calls.h"
#include "kernels/routing/rows.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

constexpr std::int64_t kNumbers = 5000;
using SharedDeviceMemoryCuda = OnCuda;

Tensor numbers_in(const SharedDeviceMemory& memory) { return {memory.data(), DType::kF32, {kNumbers}, kCuda}; }

TEST_F(SharedDeviceMemoryCuda, IsTheSameMemoryWhereverItIsMappedAndLastsUntilTheLast) {
  constexpr std::size_t kBytes = kNumbers * sizeof(float);
  std::optional<SharedDeviceMemory> made = SharedDeviceMemory::create(kBytes, kCuda);
  EXPECT_EQ(get<float>(numbers_in(*made)).values(), std::vector<float>(kNumbers, 0.0F));
  const SharedDeviceMemory mapped = SharedDeviceMemory::map(Descriptor(dup(made->file().get())), kBytes, kCuda);
  EXPECT_NE(mapped.data(), made->data());
  fill(numbers_in(*made), 3, stream_);
  wait();
  made.reset();
  EXPECT_EQ(get<float>(numbers_in(mapped)).values(), std::vector<float>(kNumbers, 3.0F));
}

TEST_F(SharedDeviceMemoryCuda, AStreamWaitsForANumberThatAnotherWrites) {
  const SharedDeviceMemory memory = SharedDeviceMemory::create(4096, kCuda);
  const Stream other(kCuda);
  const Tensor x = room(DType::kF32, {kNumbers});
  for (const std::uint32_t number : {1U, 2U, 7U}) {
    fill(x, static_cast<float>(number), stream_);
    cuda::write_number(stream_.handle(), memory.data(), number, kCuda.index);
    cuda::await_number(other.handle(), memory.data(), number, kCuda.index);
    add(x, 1, x, other);
    while (!other.done()) std::this_thread::sleep_for(std::chrono::microseconds(50));
    EXPECT_EQ(get<float>(x)[0], 2 * static_cast<float>(number));
  }
}

}  // namespace
}  // namespace coe
