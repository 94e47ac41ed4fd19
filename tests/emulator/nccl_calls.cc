#include "tests/emulator/nccl_calls.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <utility>

#include "tests/emulator/nccl_clique.h"

namespace coe::emulator {
namespace {

using Kind = NcclCall::Kind;

/// One of another process, or of which a part was lost on its way, differs.
ncclUniqueId id_of(std::uint64_t key) {
  std::array<std::uint64_t, NCCL_UNIQUE_ID_BYTES / sizeof(std::uint64_t)> words;
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = key + i;
  words.back() = static_cast<std::uint64_t>(getpid());
  ncclUniqueId id;
  std::memcpy(id.internal, words.data(), sizeof id.internal);
  return id;
}

/// The cliques in which a rank lives, and whose each of their ranks is.
class Cliques {
 public:
  ncclUniqueId new_id() {
    const std::scoped_lock lock(mutex_);
    return id_of(++keys_);
  }

  ncclResult_t join(const ncclUniqueId& id, int ranks, int rank, ncclComm_t* comm) {
    std::uint64_t key = 0;
    std::memcpy(&key, id.internal, sizeof key);
    const std::scoped_lock lock(mutex_);
    if (key == 0 || key > keys_ || std::memcmp(id_of(key).internal, id.internal, sizeof id.internal) != 0) {
      return refuse(ncclInvalidArgument, "the unique id is none that ncclGetUniqueId gave in this process");
    }
    std::shared_ptr<Clique>& clique = by_key_[key];
    if (clique == nullptr) {
      clique = std::make_shared<Clique>(key, ranks);
      for (ncclComm& member : clique->members()) by_member_[&member] = clique;
    }
    return clique->join(ranks, rank, comm);
  }

  /// nullptr where it is no rank of any.
  std::shared_ptr<Clique> of(const ncclComm* comm) {
    const std::scoped_lock lock(mutex_);
    const auto found = by_member_.find(comm);
    if (found == by_member_.end()) refuse(ncclInvalidArgument, "this is no communicator, or all its ranks are gone");
    return found == by_member_.end() ? nullptr : found->second;
  }

  ncclResult_t leave(ncclComm_t comm, bool abort) {
    const std::shared_ptr<Clique> clique = of(comm);
    if (clique == nullptr) return ncclInvalidArgument;
    const std::scoped_lock lock(mutex_);
    const ncclResult_t result = clique->leave(*comm, abort);
    if (!clique->is_left()) return result;
    std::erase_if(by_key_, [&](const auto& one) { return one.second == clique; });
    for (const ncclComm& member : clique->members()) by_member_.erase(&member);
    return result;
  }

 private:
  std::mutex mutex_;
  std::uint64_t keys_ = 0;
  std::map<std::uint64_t, std::shared_ptr<Clique>> by_key_;
  std::map<const ncclComm*, std::shared_ptr<Clique>> by_member_;
};

/// What this thread has between ncclGroupStart and ncclGroupEnd.
struct OpenGroup {
  int depth = 0;
  ncclResult_t refused = ncclSuccess;
  std::map<ncclComm_t, std::vector<Operation>> operations = {};
};

Cliques cliques;
thread_local OpenGroup open_group;

ncclResult_t check(ncclComm_t comm, const Operation& one, cudaStream_t stream) {
  const bool reads = one.kind != Kind::kReceive, writes = one.kind != Kind::kSend;
  if (one.count > 0 && ((reads && one.from == nullptr) || (writes && one.to == nullptr))) {
    return refuse(ncclInvalidArgument, "the memory is a null pointer");
  }
  if (one.kind == Kind::kReduceScatter && one.type != ncclFloat32) {
    return refuse(ncclInvalidArgument, "only sums of ncclFloat32 are emulated");
  }
  if (stream == nullptr) return refuse(ncclInvalidArgument, "the stream is the default one");
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  cudaStreamIsCapturing(stream, &status);
  if (status != cudaStreamCaptureStatusNone) return refuse(ncclInvalidUsage, "the stream is being captured");
  const std::shared_ptr<Clique> clique = cliques.of(comm);
  return clique == nullptr ? ncclInvalidArgument : clique->check(*comm, one);
}

ncclResult_t take(ncclComm_t comm, const Operation& one, cudaStream_t stream) {
  ncclGroupStart();
  const ncclResult_t result = check(comm, one, stream);
  if (result == ncclSuccess) open_group.operations[comm].push_back(one);
  if (open_group.refused == ncclSuccess) open_group.refused = result;
  const ncclResult_t ended = ncclGroupEnd();
  return result == ncclSuccess ? ended : result;
}

ncclResult_t post(OpenGroup group) {
  if (group.refused != ncclSuccess) return group.refused;
  ncclResult_t result = ncclSuccess;
  for (auto& [comm, operations] : group.operations) {
    const std::shared_ptr<Clique> clique = cliques.of(comm);
    result = clique == nullptr ? ncclInvalidArgument : clique->post(*comm, std::move(operations));
    if (result != ncclInProgress) return result;
  }
  return result;
}

}  // namespace
}  // namespace coe::emulator

using namespace coe::emulator;

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess: return "no error";
    case ncclUnhandledCudaError: return "a call of CUDA failed";
    case ncclSystemError: return "a call of the system failed";
    case ncclInternalError: return "an error inside";
    case ncclInvalidArgument: return "an argument is not allowed";
    case ncclInvalidUsage: return "used in a way that is not allowed";
    case ncclRemoteError: return "another process failed or went away";
    case ncclInProgress: return "still in progress";
  }
  return "an unknown result";
}

const char* ncclGetLastError(ncclComm_t comm) {
  const std::shared_ptr<Clique> clique = comm == nullptr ? nullptr : cliques.of(comm);
  const char* const failure = clique == nullptr ? "" : clique->failure();
  return *failure == '\0' ? last_refusal().c_str() : failure;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* uniqueId) {
  *uniqueId = cliques.new_id();
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int nranks, ncclUniqueId commId, int rank, ncclConfig_t* config) {
  *comm = nullptr;
  if (config == nullptr || config->magic != NCCL_API_MAGIC || config->size != sizeof *config) {
    return refuse(ncclInvalidArgument, "the config did not begin as NCCL_CONFIG_INITIALIZER");
  }
  if (config->blocking != 0) return refuse(ncclInvalidArgument, "the config's blocking must be 0 here");
  if (rank < 0 || rank >= nranks) {
    return refuse(ncclInvalidArgument, fmt::format("the rank is {}, ranks are {}", rank, nranks));
  }
  return cliques.join(commId, nranks, rank, comm);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* asyncError) {
  const std::shared_ptr<Clique> clique = cliques.of(comm);
  return clique == nullptr ? ncclInvalidArgument : clique->state(*comm, asyncError);
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  const std::shared_ptr<Clique> clique = cliques.of(comm);
  return clique == nullptr ? ncclInvalidArgument : clique->finalize(*comm);
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) { return cliques.leave(comm, false); }
ncclResult_t ncclCommAbort(ncclComm_t comm) { return cliques.leave(comm, true); }

ncclResult_t ncclSend(const void* sendbuff, std::size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return take(comm, {Kind::kSend, peer, sendbuff, nullptr, count, datatype}, stream);
}

ncclResult_t ncclRecv(void* recvbuff, std::size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return take(comm, {Kind::kReceive, peer, nullptr, recvbuff, count, datatype}, stream);
}

ncclResult_t ncclAllGather(const void* sendbuff, void* recvbuff, std::size_t sendcount, ncclDataType_t datatype,
                           ncclComm_t comm, cudaStream_t stream) {
  return take(comm, {Kind::kAllGather, -1, sendbuff, recvbuff, sendcount, datatype}, stream);
}

ncclResult_t ncclReduceScatter(const void* sendbuff, void* recvbuff, std::size_t recvcount, ncclDataType_t datatype,
                               ncclRedOp_t /*op*/, ncclComm_t comm, cudaStream_t stream) {
  return take(comm, {Kind::kReduceScatter, -1, sendbuff, recvbuff, recvcount, datatype}, stream);
}

ncclResult_t ncclGroupStart() {
  ++open_group.depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (open_group.depth == 0) return refuse(ncclInvalidUsage, "ncclGroupEnd without ncclGroupStart");
  if (--open_group.depth > 0) return ncclSuccess;
  return post(std::exchange(open_group, {}));
}
