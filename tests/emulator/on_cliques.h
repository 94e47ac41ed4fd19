#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/emulator/nccl.h"
#include "tests/emulator/nccl_calls.h"

namespace coe::emulator {

using Bytes = std::vector<std::uint8_t>;

inline ncclResult_t state_of(ncclComm_t comm) {
  ncclResult_t state = ncclSuccess;
  const ncclResult_t result = ncclCommGetAsyncError(comm, &state);
  return result == ncclSuccess ? state : result;
}

inline ncclResult_t join(ncclComm_t* comm, const ncclUniqueId& id, int ranks, int rank) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  return ncclCommInitRankConfig(comm, ranks, id, rank, &config);
}

/// Tests over a clique whose ranks are all called from one thread.
class OnCliques : public testing::Test {
 protected:
  void SetUp() override {
    take_nccl_calls();
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), cudaSuccess);
    ASSERT_EQ(ncclGetUniqueId(&id_), ncclSuccess);
  }

  void TearDown() override {
    abort_all();
    EXPECT_EQ(live_nccl_communicators(), 0);
    EXPECT_EQ(cudaStreamDestroy(stream_), cudaSuccess);
  }

  /// Ranks of a new clique in place of the last one's.
  void begin(int ranks) {
    abort_all();
    ASSERT_EQ(ncclGetUniqueId(&id_), ncclSuccess);
    comms_.resize(static_cast<std::size_t>(ranks));
    for (int rank = 0; rank < ranks; ++rank) {
      ASSERT_EQ(join(&comms_[static_cast<std::size_t>(rank)], id_, ranks, rank), ncclInProgress);
    }
    expect_all(ncclSuccess);
  }

  void abort_all() {
    for (const ncclComm_t comm : std::exchange(comms_, {})) EXPECT_EQ(ncclCommAbort(comm), ncclSuccess);
  }

  void expect_all(ncclResult_t state) const {
    for (const ncclComm_t comm : comms_) EXPECT_EQ(state_of(comm), state);
  }
  /// Every rank sees that it failed, and why.
  void expect_failed(const std::string& why) const {
    expect_all(ncclInvalidUsage);
    for (const ncclComm_t comm : comms_) EXPECT_EQ(ncclGetLastError(comm), why);
    for (const ncclComm_t comm : comms_) EXPECT_EQ(send(comm, Bytes(1), 0), ncclInvalidUsage);
  }

  ncclResult_t send(ncclComm_t comm, const Bytes& x, int peer) const {
    return ncclSend(x.data(), x.size(), ncclUint8, peer, comm, stream_);
  }
  ncclResult_t receive(ncclComm_t comm, Bytes& x, int peer) const {
    return ncclRecv(x.data(), x.size(), ncclUint8, peer, comm, stream_);
  }

  cudaStream_t stream_ = nullptr;
  ncclUniqueId id_ = {};
  std::vector<ncclComm_t> comms_;
};

}  // namespace coe::emulator
