#include "tests/emulator/nccl_clique.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/emulator/on_cliques.h"

namespace coe::emulator {
namespace {

using NcclCliqueCuda = OnCliques;

TEST_F(NcclCliqueCuda, TheNthMessageOfARankMeetsTheNthReceiveFromIt) {
  begin(3);
  const Bytes first(10, 1), second(20, 2), others(30, 3);
  Bytes got_first(10), got_second(20), got_others(30);
  ncclGroupStart();
  send(comms_[0], first, 1);
  send(comms_[0], second, 1);
  ASSERT_EQ(ncclGroupEnd(), ncclInProgress);
  ncclGroupStart();
  receive(comms_[1], got_others, 2);
  receive(comms_[1], got_first, 0);
  ASSERT_EQ(ncclGroupEnd(), ncclInProgress);
  EXPECT_EQ(state_of(comms_[1]), ncclInProgress);
  EXPECT_EQ(got_first, first);
  ASSERT_EQ(send(comms_[2], others, 1), ncclInProgress);
  EXPECT_EQ(state_of(comms_[1]), ncclSuccess);
  EXPECT_EQ(state_of(comms_[0]), ncclInProgress);
  ASSERT_EQ(receive(comms_[1], got_second, 0), ncclInProgress);
  expect_all(ncclSuccess);
  EXPECT_EQ(got_second, second);
  EXPECT_EQ(got_others, others);
}

TEST_F(NcclCliqueCuda, MessagesOfDifferentSizesAreSeenByAll) {
  begin(3);
  const Bytes x(10);
  Bytes got(12, 9);
  send(comms_[0], x, 1);
  receive(comms_[1], got, 0);
  expect_failed("rank 0 sends 10 bytes, rank 1 receives 12");
  EXPECT_EQ(got, Bytes(12, 9));
}

TEST_F(NcclCliqueCuda, CollectiveOperationsThatDifferAreSeenByAll) {
  std::vector<float> x(16);
  const auto gather = [&](std::size_t count, ncclDataType_t type, ncclComm_t comm) {
    EXPECT_EQ(ncclAllGather(x.data(), x.data(), count, type, comm, stream_), ncclInProgress);
  };
  const std::vector<std::pair<std::string, std::function<void(ncclComm_t)>>> others = {
      {"all-gather of 5 elements of type 7", [&](ncclComm_t comm) { gather(5, ncclFloat32, comm); }},
      {"all-gather of 4 elements of type 2", [&](ncclComm_t comm) { gather(4, ncclInt32, comm); }},
      {"reduce-scatter of 4 elements of type 7",
       [&](ncclComm_t comm) { ncclReduceScatter(x.data(), x.data(), 4, ncclFloat32, ncclSum, comm, stream_); }}};
  for (const auto& [text, post] : others) {
    begin(3);
    gather(4, ncclFloat32, comms_[0]);
    EXPECT_EQ(state_of(comms_[0]), ncclInProgress);
    post(comms_[2]);
    expect_failed("rank 2: " + text + ", but another rank: all-gather of 4 elements of type 7");
  }
}

TEST_F(NcclCliqueCuda, MessagesThatNobodyCanTakeAreSeenByAll) {
  Bytes x(4);
  const std::vector<std::pair<std::string, std::function<ncclResult_t()>>> misuses = {
      {"rank 1: its peer is 3, ranks are 3", [&] { return send(comms_[1], x, 3); }},
      {"rank 1: its peer is -1, ranks are 3", [&] { return receive(comms_[1], x, -1); }},
      {"rank 1: an empty message, peer 0", [&] { return ncclSend(x.data(), 0, ncclInt8, 0, comms_[1], stream_); }},
      {"rank 1: an empty message, peer 2", [&] { return ncclRecv(x.data(), 0, ncclInt8, 2, comms_[1], stream_); }}};
  for (const auto& [why, misuse] : misuses) {
    begin(3);
    EXPECT_EQ(misuse(), ncclInvalidUsage);
    EXPECT_EQ(ncclGetLastError(nullptr), why);
    EXPECT_EQ(send(comms_[2], x, 0), ncclInvalidUsage);
    expect_failed(why);
  }
}

TEST_F(NcclCliqueCuda, PostingBeforeTheLastGroupIsDoneIsRefused) {
  begin(2);
  Bytes x(4);
  EXPECT_EQ(send(comms_[0], x, 1), ncclInProgress);
  EXPECT_EQ(receive(comms_[1], x, 0), ncclInProgress);
  EXPECT_EQ(state_of(comms_[1]), ncclSuccess);
  // It is done, but rank 0 did not ask.
  EXPECT_EQ(ncclCommDestroy(comms_[0]), ncclInvalidUsage);
  EXPECT_EQ(send(comms_[0], x, 1), ncclInvalidUsage);
  expect_failed("rank 0: used before all was said to be done");
}

TEST_F(NcclCliqueCuda, ARankThatNeverComesLeavesTheOthersInProgress) {
  comms_.resize(2);
  ASSERT_EQ(join(&comms_[0], id_, 3, 0), ncclInProgress);
  ASSERT_EQ(join(&comms_[1], id_, 3, 2), ncclInProgress);
  expect_all(ncclInProgress);
  EXPECT_EQ(live_nccl_communicators(), 2);
  for (const ncclComm_t comm : comms_) EXPECT_EQ(ncclCommDestroy(comm), ncclInvalidUsage);
  abort_all();
  comms_.resize(1);
  ASSERT_EQ(join(&comms_[0], id_, 3, 1), ncclInProgress);
  expect_all(ncclInProgress);
}

TEST_F(NcclCliqueCuda, WhoWaitsForARankThatAbortedWaitsUntilItAbortsToo) {
  begin(3);
  Bytes x(4), all(12);
  send(comms_[2], x, 0);
  ASSERT_EQ(ncclCommAbort(comms_[2]), ncclSuccess);
  comms_.pop_back();
  receive(comms_[0], x, 2);
  ncclAllGather(x.data(), all.data(), 4, ncclUint8, comms_[1], stream_);
  for (int times = 0; times < 3; ++times) expect_all(ncclInProgress);
  EXPECT_EQ(live_nccl_communicators(), 2);
}

TEST_F(NcclCliqueCuda, ACommunicatorThatEndedIsRefused) {
  begin(2);
  ASSERT_EQ(ncclCommFinalize(comms_[0]), ncclInProgress);
  EXPECT_EQ(state_of(comms_[0]), ncclInProgress);
  ASSERT_EQ(ncclCommFinalize(comms_[1]), ncclInProgress);
  expect_all(ncclSuccess);
  ASSERT_EQ(ncclCommDestroy(comms_[0]), ncclSuccess);
  Bytes x(4);
  EXPECT_EQ(send(comms_[0], x, 1), ncclInvalidUsage);
  EXPECT_EQ(state_of(comms_[0]), ncclInvalidUsage);
  EXPECT_EQ(ncclCommAbort(comms_[0]), ncclInvalidUsage);
  EXPECT_EQ(state_of(comms_[1]), ncclInvalidUsage);
  EXPECT_STREQ(ncclGetLastError(comms_[1]), "rank 0: used after its end");
  ASSERT_EQ(ncclCommAbort(comms_[1]), ncclSuccess);
  for (const ncclComm_t comm : std::exchange(comms_, {})) EXPECT_EQ(send(comm, x, 0), ncclInvalidArgument);
}

TEST_F(NcclCliqueCuda, PostingAfterFinalizeIsSeenByAll) {
  begin(2);
  ASSERT_EQ(ncclCommFinalize(comms_[0]), ncclInProgress);
  EXPECT_EQ(send(comms_[0], Bytes(4), 1), ncclInvalidUsage);
  expect_failed("rank 0: used after its end");
}

TEST_F(NcclCliqueCuda, ARankThatComesTwiceIsSeenByAll) {
  comms_.resize(1);
  ASSERT_EQ(join(comms_.data(), id_, 2, 0), ncclInProgress);
  ncclComm_t other = nullptr;
  EXPECT_EQ(join(&other, id_, 2, 0), ncclInvalidUsage);
  expect_failed("rank 0 came twice");
}

}  // namespace
}  // namespace coe::emulator
