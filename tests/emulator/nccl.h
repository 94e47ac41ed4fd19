#pragma once

#include <climits>
#include <cstddef>

#include "tests/emulator/runtime_calls.h"

// The part of NCCL that the project uses, for ranks that are threads of one process, with non-blocking communicators
// alone. Numbers and signatures are NCCL's own.
//
// A call outside ncclGroupStart and ncclGroupEnd is a group of one. A group is posted at its end, where nothing moves;
// ncclCommGetAsyncError moves what both sides have posted and says ncclInProgress until all of the own group is done (a
// device's NCCL says so until the group is on its stream: streams here have always done what they were given). A
// communicator takes its next group only after ncclCommGetAsyncError has said ncclSuccess.
//
// Misuse is seen by every rank of the communicator: ncclCommGetAsyncError says ncclInvalidUsage, ncclGetLastError why.

#define NCCL_MAJOR 2
#define NCCL_MINOR 32
#define NCCL_PATCH 3
#define NCCL_VERSION(major, minor, patch) ((major)*10000 + (minor)*100 + (patch))
#define NCCL_VERSION_CODE NCCL_VERSION(NCCL_MAJOR, NCCL_MINOR, NCCL_PATCH)

#define NCCL_UNIQUE_ID_BYTES 128
#define NCCL_API_MAGIC 0xcafebeef
#define NCCL_CONFIG_UNDEF_INT INT_MIN
#define NCCL_CONFIG_INITIALIZER \
  { sizeof(ncclConfig_t), NCCL_API_MAGIC, NCCL_VERSION_CODE, NCCL_CONFIG_UNDEF_INT }

using ncclComm_t = struct ncclComm*;

enum ncclResult_t {
  ncclSuccess = 0,
  ncclUnhandledCudaError = 1,
  ncclSystemError = 2,
  ncclInternalError = 3,
  ncclInvalidArgument = 4,
  ncclInvalidUsage = 5,
  ncclRemoteError = 6,
  ncclInProgress = 7
};
enum ncclDataType_t { ncclInt8 = 0, ncclUint8 = 1, ncclInt32 = 2, ncclFloat32 = 7, ncclFloat64 = 8 };
enum ncclRedOp_t { ncclSum = 0 };

struct ncclUniqueId {
  char internal[NCCL_UNIQUE_ID_BYTES];
};
struct ncclConfig_t {
  std::size_t size;
  unsigned magic, version;
  int blocking;  ///< must be set to 0
};

extern "C" {

ncclResult_t ncclGetVersion(int* version);
const char* ncclGetErrorString(ncclResult_t result);
/// Why the communicator failed or, with nullptr or where it did not, why this thread's last refused call was.
const char* ncclGetLastError(ncclComm_t comm);

ncclResult_t ncclGetUniqueId(ncclUniqueId* uniqueId);
/// ncclInProgress; ncclCommGetAsyncError says ncclSuccess once all ranks have come.
ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int nranks, ncclUniqueId commId, int rank, ncclConfig_t* config);
/// Never waits.
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* asyncError);
/// ncclInProgress; ncclCommGetAsyncError says ncclSuccess once all ranks have finalized or are gone.
ncclResult_t ncclCommFinalize(ncclComm_t comm);
/// Refuses a communicator of which ncclCommGetAsyncError did not say that all is done.
ncclResult_t ncclCommDestroy(ncclComm_t comm);
/// Takes back what this rank posted; who waits for it waits for ever, as for a process that vanished.
ncclResult_t ncclCommAbort(ncclComm_t comm);

/// An empty message is misuse here, though NCCL lets it pass: the project posts none.
ncclResult_t ncclSend(const void* sendbuff, std::size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
                      cudaStream_t stream);
ncclResult_t ncclRecv(void* recvbuff, std::size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
                      cudaStream_t stream);
ncclResult_t ncclAllGather(const void* sendbuff, void* recvbuff, std::size_t sendcount, ncclDataType_t datatype,
                           ncclComm_t comm, cudaStream_t stream);
/// Sums of ncclFloat32 alone, in the order of ranks; sendbuff has recvcount elements for each of them.
ncclResult_t ncclReduceScatter(const void* sendbuff, void* recvbuff, std::size_t recvcount, ncclDataType_t datatype,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream);

ncclResult_t ncclGroupStart();
ncclResult_t ncclGroupEnd();

}  // extern "C"
