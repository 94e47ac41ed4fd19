// What the project asks of NCCL, as the emulator records it.
#include "comm/nccl_messages.h"

#include <algorithm>
#include <map>

#include "comm/collectives.h"
#include "comm/make_transport.h"
#include "kernels/memory/buffer.h"
#include "tests/emulator/nccl.h"
#include "tests/emulator/nccl_calls.h"
#include "tests/kernels/memory/on_device.h"
#include "tests/ranks.h"

namespace coe {
namespace {

using emulator::NcclCall;
using Kind = NcclCall::Kind;
constexpr Phase kPhase{"dispatch", 3, 1};
using NcclMessagesCuda = OnCuda;

std::size_t bytes_between(int source, int target) { return static_cast<std::size_t>((3 * source + target) % 4) * 8; }

/// Sends bytes_between() everybody.
Ticket post_uneven(DeviceMessages& messages, const Group& group, const Buffer& memory, const Stream& stream) {
  std::vector<Piece> pieces(2 * static_cast<std::size_t>(group.size()));
  std::vector<Message> sends, receives;
  for (int peer = 0; peer < group.size(); ++peer) {
    const auto at = 2 * static_cast<std::size_t>(peer);
    pieces[at] = {memory.data(), bytes_between(group.rank(), peer)};
    pieces[at + 1] = {memory.data() + 64, bytes_between(peer, group.rank())};
    sends.push_back({peer, {&pieces[at], 1}});
    receives.push_back({peer, {&pieces[at + 1], 1}});
  }
  return messages.post(sends, receives, stream, kPhase);
}

TEST_F(NcclMessagesCuda, SendWhatTheirPeersExpectInOneGroup) {
  for (const int ranks : {1, 2, 4, 7}) {
    emulator::take_nccl_calls();
    on_ranks(ranks, [](Transport& world) {
      const Group group{&world};
      const Stream stream(kCuda);
      const auto messages = make_nccl_messages(group, kCuda);
      const Buffer memory(256, kCuda);
      messages->follow(post_uneven(*messages, group, memory, stream), stream);
    });
    std::map<std::pair<int, int>, std::size_t> sent, received;
    for (const NcclCall& call : emulator::take_nccl_calls()) {
      EXPECT_EQ(call.group, 0);
      EXPECT_GT(call.bytes, 0U) << "nothing is sent where there is nothing";
      if (call.kind == Kind::kSend) EXPECT_TRUE(sent.emplace(std::pair(call.rank, call.peer), call.bytes).second);
      if (call.kind == Kind::kReceive)
        EXPECT_TRUE(received.emplace(std::pair(call.peer, call.rank), call.bytes).second);
    }
    EXPECT_EQ(sent, received);
    for (int source = 0; source < ranks; ++source) {
      for (int target = 0; target < ranks; ++target) {
        const auto found = sent.find({source, target});
        EXPECT_EQ(found == sent.end() ? 0 : found->second, bytes_between(source, target));
      }
    }
  }
  EXPECT_EQ(emulator::live_nccl_communicators(), 0);
}

TEST_F(NcclMessagesCuda, APeerThatDoesNotComeIsNamedAndNothingHangs) {
  const auto body = [](Transport& world) {
    const Group group{&world, std::chrono::milliseconds(300)};
    const Stream stream(kCuda);
    const auto messages = make_nccl_messages(group, kCuda);
    const Buffer memory(256, kCuda);
    if (world.rank() == 1) {
      barrier({&world}, {"waiting for the others to give up"});
      return;
    }
    try {
      post_uneven(*messages, group, memory, stream);
      ADD_FAILURE() << "rank 1 never came";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kPeer);
      const std::string text = error.what();
      EXPECT_NE(text.find("dispatch of layer 3, iteration 1"), std::string::npos) << text;
      EXPECT_NE(text.find("waits for rank 1"), std::string::npos) << text;
    }
    EXPECT_THROW(messages->check(), Error) << "they were taken back";
    barrier({&world}, {"giving up"});
  };
  run_local_ranks(2, body);
  EXPECT_EQ(emulator::live_nccl_communicators(), 0);
}

TEST_F(NcclMessagesCuda, AnErrorOfNcclNamesRankAndPhase) {
  EXPECT_THROW(run_local_ranks(
                   2,
                   [](Transport& world) {
                     const Group group{&world};
                     const Stream stream(kCuda);
                     const auto messages = make_nccl_messages(group, kCuda);
                     const Buffer memory(256, kCuda);
                     const Piece out{memory.data(), world.rank() == 0 ? 8U : 16U}, in{memory.data(), 8};
                     const Message send{1 - world.rank(), {&out, 1}}, receive{1 - world.rank(), {&in, 1}};
                     try {
                       messages->post({&send, 1}, {&receive, 1}, stream, kPhase);
                     } catch (const Error& error) {
                       const std::string text = error.what();
                       EXPECT_NE(text.find("in dispatch of layer 3, iteration 1: NCCL: "), std::string::npos) << text;
                       throw;
                     }
                   }),
               Error);
  EXPECT_EQ(emulator::live_nccl_communicators(), 0);
}

TEST_F(NcclMessagesCuda, ALentCommunicatorIsUsedAndLeftAlone) {
  ncclUniqueId id{};
  ncclGetUniqueId(&id);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t communicator = nullptr;
  ncclCommInitRankConfig(&communicator, 1, id, 0, &config);
  const auto world = make_transport("local");
  const Group group{world.get()};
  for (int i = 0; i < 2; ++i) {
    const auto messages = make_nccl_messages(group, kCuda, {.communicator = communicator});
    const Buffer memory(8, kCuda);
    const Tensor number(memory.data(), DType::kF32, {1}, kCuda);
    fill(number, 3, stream_);
    messages->follow(messages->reduce_scatter_sum(number, stream_, kPhase), stream_);
    EXPECT_EQ(get<float>(number).values().front(), 3);
  }
  EXPECT_EQ(emulator::live_nccl_communicators(), 1);
  ncclCommAbort(communicator);
}

TEST_F(NcclMessagesCuda, ALentCommunicatorOutlivesAFailure) {
  ncclUniqueId id{};
  ncclGetUniqueId(&id);
  run_local_ranks(2, [&](Transport& world) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclComm_t communicator = nullptr;
    ncclCommInitRankConfig(&communicator, 2, id, world.rank(), &config);
    const Stream stream(kCuda);
    const Buffer memory(256, kCuda);
    const Group group{&world, std::chrono::milliseconds(300)};
    const auto messages = make_nccl_messages(group, kCuda, {.communicator = communicator});
    if (world.rank() == 0) EXPECT_THROW(post_uneven(*messages, group, memory, stream), Error) << "rank 1 never came";
    barrier({&world}, {"giving up"});
    EXPECT_EQ(emulator::live_nccl_communicators(), 2);
    barrier({&world}, {"looking"});
    ncclCommAbort(communicator);
  });
  EXPECT_EQ(emulator::live_nccl_communicators(), 0);
}

}  // namespace
}  // namespace coe
