#include "tests/emulator/nccl_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <numeric>
#include <span>
#include <thread>

#include "tests/emulator/on_cliques.h"

namespace coe::emulator {
namespace {

using Kind = NcclCall::Kind;
using NcclCallsCuda = OnCliques;

constexpr std::uint8_t kUntouched = 0xEE;

/// For ranks on threads of their own; ncclInProgress where nothing came of it in a minute.
ncclResult_t await(ncclComm_t comm) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (std::chrono::steady_clock::now() < deadline) {
    if (const ncclResult_t state = state_of(comm); state != ncclInProgress) return state;
    std::this_thread::yield();
  }
  return ncclInProgress;
}

/// Runs the body on a thread for each rank, over a communicator that is then finalized and destroyed.
void on_threads(int ranks, const std::function<void(ncclComm_t, int)>& body) {
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  const auto run = [&](int rank) {
    ncclComm_t comm = nullptr;
    ASSERT_EQ(join(&comm, id, ranks, rank), ncclInProgress);
    ASSERT_EQ(await(comm), ncclSuccess);
    body(comm, rank);
    ASSERT_EQ(ncclCommFinalize(comm), ncclInProgress);
    ASSERT_EQ(await(comm), ncclSuccess);
    ASSERT_EQ(ncclCommDestroy(comm), ncclSuccess);
  };
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < ranks; ++rank) threads.emplace_back(run, rank);
}

/// What `from` sends `to` in a round; nothing in every fourth case.
Bytes message(int from, int to, int round) {
  Bytes x(static_cast<std::size_t>((from * 5 + to * 3 + round) % 4 * 1000));
  std::iota(x.begin(), x.end(), static_cast<std::uint8_t>(from * 16 + to + round));
  return x;
}

TEST_F(NcclCallsCuda, AnUnevenAllToAllDeliversEveryMessage) {
  for (const int ranks : {1, 2, 4, 7}) {
    on_threads(ranks, [&](ncclComm_t comm, int rank) {
      for (int round = 0; round < 8; ++round) {
        std::vector<Bytes> given, got;
        for (int peer = 0; peer < ranks; ++peer) {
          given.push_back(message(rank, peer, round));
          got.emplace_back(message(peer, rank, round).size(), kUntouched);
        }
        ncclGroupStart();
        for (std::size_t peer = 0; peer < given.size(); ++peer) {
          if (!given[peer].empty()) send(comm, given[peer], static_cast<int>(peer));
          if (!got[peer].empty()) receive(comm, got[peer], static_cast<int>(peer));
        }
        const bool any = std::ranges::any_of(given, std::not_fn(&Bytes::empty)) ||
                         std::ranges::any_of(got, std::not_fn(&Bytes::empty));
        ASSERT_EQ(ncclGroupEnd(), any ? ncclInProgress : ncclSuccess);
        ASSERT_EQ(await(comm), ncclSuccess);
        for (int peer = 0; peer < ranks; ++peer) {
          EXPECT_EQ(got[static_cast<std::size_t>(peer)], message(peer, rank, round));
        }
      }
    });
  }
}

TEST_F(NcclCallsCuda, CollectiveOperationsSumAndGatherInTheOrderOfRanks) {
  // In float, the sum of these depends on the order in which they are added.
  const std::vector<float> parts = {3e7F, 1.1F, -3e7F, 0.3F, 7e6F, -7e6F, 1e-3F};
  for (const int ranks : {1, 2, 4, 7}) {
    const std::vector<float> wanted_parts(parts.begin(), parts.begin() + ranks);
    const float wanted = std::accumulate(wanted_parts.begin() + 1, wanted_parts.end(), wanted_parts.front());
    on_threads(ranks, [&](ncclComm_t comm, int rank) {
      for (int round = 0; round < 8; ++round) {
        const auto own = static_cast<std::size_t>(rank), all_ranks = static_cast<std::size_t>(ranks);
        const float mine = parts[own];
        // The first part is twice the others, so that nobody takes another's for its own.
        std::vector<float> sums(5 * all_ranks, mine), all(all_ranks, -1);
        std::fill_n(sums.begin(), 5, 2 * mine);
        const std::span<float> part = std::span(sums).subspan(5 * own, 5);
        ncclGroupStart();
        ncclReduceScatter(sums.data(), part.data(), part.size(), ncclFloat32, ncclSum, comm, stream_);
        ncclAllGather(&mine, all.data(), sizeof mine, ncclInt8, comm, stream_);
        ASSERT_EQ(ncclGroupEnd(), ncclInProgress);
        ASSERT_EQ(await(comm), ncclSuccess);
        EXPECT_EQ(std::vector<float>(part.begin(), part.end()), std::vector<float>(5, rank == 0 ? 2 * wanted : wanted));
        EXPECT_EQ(all, wanted_parts);
      }
    });
  }
}

TEST_F(NcclCallsCuda, NothingMovesBeforeTheStateIsAskedFor) {
  begin(1);
  const Bytes x(10, 7);
  Bytes got(10, kUntouched);
  ncclGroupStart();
  EXPECT_EQ(receive(comms_[0], got, 0), ncclSuccess);
  EXPECT_EQ(send(comms_[0], x, 0), ncclSuccess);
  EXPECT_EQ(ncclGroupEnd(), ncclInProgress);
  EXPECT_EQ(got, Bytes(10, kUntouched));
  expect_all(ncclSuccess);
  EXPECT_EQ(got, x);
}

TEST_F(NcclCallsCuda, GroupsNestAndTheOutermostEndPosts) {
  begin(2);
  EXPECT_EQ(ncclGroupStart(), ncclSuccess);
  EXPECT_EQ(ncclGroupEnd(), ncclSuccess);
  EXPECT_EQ(ncclGroupEnd(), ncclInvalidUsage);
  const Bytes x(3, 1);
  Bytes got(3);
  ncclGroupStart();
  ncclGroupStart();
  send(comms_[0], x, 1);
  EXPECT_EQ(ncclGroupEnd(), ncclSuccess);
  EXPECT_THAT(take_nccl_calls(), testing::IsEmpty());
  receive(comms_[1], got, 0);
  EXPECT_EQ(ncclGroupEnd(), ncclInProgress);
  expect_all(ncclSuccess);
  EXPECT_EQ(got, x);
}

TEST_F(NcclCallsCuda, TheRecordHoldsWhatEachRankPostedInItsOrder) {
  begin(2);
  const Bytes x(3);
  Bytes got(3), all(6);
  std::array<float, 2> sums = {};
  ncclReduceScatter(sums.data(), sums.data(), 1, ncclFloat32, ncclSum, comms_[1], stream_);
  ncclReduceScatter(sums.data(), sums.data(), 1, ncclFloat32, ncclSum, comms_[0], stream_);
  expect_all(ncclSuccess);
  ncclGroupStart();
  send(comms_[0], x, 1);
  ncclAllGather(x.data(), all.data(), 3, ncclUint8, comms_[0], stream_);
  ncclGroupEnd();
  ncclAllGather(x.data(), all.data(), 3, ncclUint8, comms_[1], stream_);
  ASSERT_EQ(state_of(comms_[1]), ncclSuccess);
  receive(comms_[1], got, 0);
  const std::vector<NcclCall> wanted = {{Kind::kReduceScatter, 0, -1, 4, 0}, {Kind::kSend, 0, 1, 3, 1},
                                        {Kind::kAllGather, 0, -1, 3, 1},     {Kind::kReduceScatter, 1, -1, 4, 0},
                                        {Kind::kAllGather, 1, -1, 3, 1},     {Kind::kReceive, 1, 0, 3, 2}};
  EXPECT_TRUE(take_nccl_calls() == wanted);
  expect_all(ncclSuccess);
  EXPECT_EQ(send(comms_[0], {}, 1), ncclInvalidUsage);
  EXPECT_THAT(take_nccl_calls(), testing::IsEmpty());
}

TEST_F(NcclCallsCuda, AGroupWithARefusedCallPostsNothing) {
  begin(2);
  Bytes x(4);
  ncclGroupStart();
  EXPECT_EQ(send(comms_[0], x, 1), ncclSuccess);
  EXPECT_EQ(ncclReduceScatter(x.data(), x.data(), 1, ncclInt32, ncclSum, comms_[0], stream_), ncclInvalidArgument);
  EXPECT_STREQ(ncclGetLastError(comms_[0]), "only sums of ncclFloat32 are emulated");
  EXPECT_EQ(ncclGroupEnd(), ncclInvalidArgument);
  EXPECT_THAT(take_nccl_calls(), testing::IsEmpty());
  expect_all(ncclSuccess);
}

TEST_F(NcclCallsCuda, StreamsMustBeOnesOwnAndNotCaptured) {
  begin(1);
  Bytes x(4);
  EXPECT_EQ(ncclRecv(x.data(), 4, ncclInt8, 0, comms_[0], nullptr), ncclInvalidArgument);
  EXPECT_EQ(ncclRecv(nullptr, 4, ncclInt8, 0, comms_[0], stream_), ncclInvalidArgument);
  cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal);
  EXPECT_EQ(send(comms_[0], x, 0), ncclInvalidUsage);
  EXPECT_STREQ(ncclGetLastError(comms_[0]), "the stream is being captured");
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
  cudaGraphDestroy(graph);
  expect_all(ncclSuccess);
}

TEST_F(NcclCallsCuda, JoiningIsRefusedWhereRanksDoNotFit) {
  comms_.resize(1);
  ASSERT_EQ(join(comms_.data(), id_, 2, 0), ncclInProgress);
  ncclComm_t other = nullptr;
  EXPECT_EQ(join(&other, id_, 2, 2), ncclInvalidArgument);
  EXPECT_EQ(join(&other, id_, 2, -1), ncclInvalidArgument);
  ncclUniqueId torn = id_;
  torn.internal[NCCL_UNIQUE_ID_BYTES - 1] ^= 1;
  EXPECT_EQ(join(&other, torn, 2, 1), ncclInvalidArgument);
  EXPECT_EQ(join(&other, ncclUniqueId{}, 2, 1), ncclInvalidArgument);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  EXPECT_EQ(ncclCommInitRankConfig(&other, 2, id_, 1, &config), ncclInvalidArgument);
  config = {};
  EXPECT_EQ(ncclCommInitRankConfig(&other, 2, id_, 1, &config), ncclInvalidArgument);
  expect_all(ncclInProgress);
  EXPECT_EQ(join(&other, id_, 3, 1), ncclInvalidUsage);
  EXPECT_EQ(other, nullptr);
  expect_failed("rank 1 is one of 3, others are of 2");
}

}  // namespace
}  // namespace coe::emulator
