#include "comm/device_messages.h"

#include <numeric>

#include "comm/make_transport.h"
#include "runtime/ranks/make_device_messages.h"
#include "runtime/ranks/read_back.h"
#include "tests/bad_input.h"
#include "tests/comm/nccl_ranks.h"
#include "tests/kernels/memory/on_device.h"
#include "tests/ranks.h"

namespace coe {
namespace {

constexpr Phase kPhase{"test"};

/// By way of the hosts, and by NCCL.
class DeviceMessagesCuda : public OnCuda, public testing::WithParamInterface<DeviceReach> {
 protected:
  void on_all_ranks(const std::function<void(const Group&, const Stream&)>& body) {
    for (const int ranks : {1, 2, 4, 7}) {
      if (GetParam() == DeviceReach::kNccl && !nccl_connects(ranks)) GTEST_SKIP() << kNoNccl;
      on_ranks(ranks, [&](Transport& world) {
        const Stream stream(kCuda);
        const auto messages = make_device_messages({&world}, {kCuda, GetParam()});
        body({&world, world.deadline(), nullptr, messages.get()}, stream);
      });
    }
  }
};

/// How many floats `source` sends to `target`, in two pieces: uneven, and none for some.
std::int64_t size_of_message(int source, int target) { return (source + 2 * target) % 3 * 5 + (source == target); }
float content(int source, int target, std::int64_t i) {
  return static_cast<float>(1000 * source + 100 * target) + static_cast<float>(i);
}

/// A rank's messages to or from all others, in memory where they follow one another.
struct Mail {
  Mail(const Group& group, bool sent) : pieces(static_cast<std::size_t>(group.size())) {
    std::vector<float> numbers;
    std::vector<std::int64_t> sizes;
    for (int peer = 0; peer < group.size(); ++peer) {
      const int source = sent ? group.rank() : peer, target = sent ? peer : group.rank();
      sizes.push_back(size_of_message(source, target));
      for (std::int64_t i = 0; i < sizes.back(); ++i) numbers.push_back(content(source, target, i));
    }
    expected = numbers;
    memory = Buffer(numbers.size() * sizeof(float) + 1, kCuda);
    all = Tensor(memory.data(), DType::kF32, {std::ssize(numbers)}, kCuda);
    std::int64_t first = 0;
    for (int peer = 0; peer < group.size(); ++peer) {
      const std::int64_t size = sizes[static_cast<std::size_t>(peer)], half = size / 2;
      const Tensor head = all.rows(first, half), tail = all.rows(first + half, size - half);
      auto& two = pieces[static_cast<std::size_t>(peer)] = {{head.raw(), head.bytes()}, {tail.raw(), tail.bytes()}};
      messages.push_back({peer, two});
      first += size;
    }
  }
  Buffer memory;
  Tensor all;
  std::vector<float> expected;
  std::vector<std::vector<Piece>> pieces;
  std::vector<Message> messages;
};

TEST_P(DeviceMessagesCuda, BringEveryPieceToItsPeer) {
  on_all_ranks([](const Group& group, const Stream& stream) {
    const Mail sent(group, true), received(group, false), again(group, false);
    copy(Tensor(const_cast<float*>(sent.expected.data()), DType::kF32, sent.all.shape()), sent.all, stream);
    // Two under way at once, followed in the other order.
    const Ticket first = group.messages->post(sent.messages, received.messages, stream, kPhase);
    const Ticket second = group.messages->post(sent.messages, again.messages, stream, kPhase);
    group.messages->follow(second, stream);
    group.messages->follow(first, stream);
    EXPECT_EQ(read_back<float>(received.all, group, stream, kPhase), received.expected);
    EXPECT_EQ(read_back<float>(again.all, group, stream, kPhase), received.expected);
    EXPECT_THROW(group.messages->follow(first, stream), Error) << "once for each";
  });
}

TEST_P(DeviceMessagesCuda, GatherAndAddUp) {
  on_all_ranks([](const Group& group, const Stream& stream) {
    constexpr std::int64_t kNumbers = 9;
    Arena arena(4096, kCuda);
    const Tensor flat = arena.make<float>({group.size() * kNumbers}), all = flat.reshaped({group.size(), kNumbers}),
                 mine = all[group.rank()];
    fill(mine, static_cast<float>(group.rank() + 1), stream);
    group.messages->follow(group.messages->all_gather(mine, all, stream, kPhase), stream);
    const std::vector<float> gathered = read_back<float>(all, group, stream, kPhase);
    for (std::size_t i = 0; i < gathered.size(); ++i) EXPECT_EQ(gathered[i], static_cast<float>(i / kNumbers + 1));
    group.messages->follow(group.messages->reduce_scatter_sum(flat, stream, kPhase), stream);
    const auto sum = static_cast<float>((group.rank() + 1) * group.size());
    EXPECT_EQ(read_back<float>(mine, group, stream, kPhase), std::vector<float>(kNumbers, sum));
  });
}

class NcclOnOneDeviceCuda : public OnCuda {};

TEST_F(NcclOnOneDeviceCuda, IsRefusedWhereItIsNotAllowed) {
  if (!nccl_connects(2)) GTEST_SKIP() << kNoNccl;
  if (cuda_devices() > 1) GTEST_SKIP() << "each rank has a device of its own";
  unsetenv("NCCL_MULTI_RANK_GPU_ENABLE");
  on_ranks(2, [&](Transport& world) {
    const std::string text = bad_input([&] { make_device_messages({&world}, {kCuda, DeviceReach::kNccl}); });
    EXPECT_NE(text.find("\"nccl\" needs a GPU for each rank"), std::string::npos) << text;
  });
}

INSTANTIATE_TEST_SUITE_P(Ways, DeviceMessagesCuda, testing::Values(DeviceReach::kHost, DeviceReach::kNccl));

}  // namespace
}  // namespace coe
