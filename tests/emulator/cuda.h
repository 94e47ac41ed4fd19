#pragma once

#include <cstddef>
#include <cstdint>

#include "tests/emulator/runtime_calls.h"

// The calls of the CUDA driver that kernels/memory/shared_memory_calls.cu makes, with a device's memory in files of
// memory, so that processes can share it.

enum CUresult { CUDA_SUCCESS = 0, CUDA_ERROR_INVALID_VALUE = 1, CUDA_ERROR_OUT_OF_MEMORY = 2 };
enum { CU_MEM_ALLOCATION_TYPE_PINNED, CU_MEM_LOCATION_TYPE_DEVICE, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR };
enum { CU_MEM_ALLOC_GRANULARITY_RECOMMENDED, CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
enum { CU_STREAM_WRITE_VALUE_DEFAULT, CU_STREAM_WAIT_VALUE_GEQ };

using CUdeviceptr = unsigned long long;
using CUmemGenericAllocationHandle = unsigned long long;
using CUstream = cudaStream_t;

struct CUmemLocation {
  int type, id;
};
struct CUmemAllocationProp {
  int type, requestedHandleTypes;
  CUmemLocation location;
};
struct CUmemAccessDesc {
  CUmemLocation location;
  int flags;
};

CUresult cuMemGetAllocationGranularity(std::size_t* unit, const CUmemAllocationProp* kind, int option);
CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, std::size_t bytes, const CUmemAllocationProp* kind,
                     unsigned long long flags);
CUresult cuMemExportToShareableHandle(void* file, CUmemGenericAllocationHandle handle, int type,
                                      unsigned long long flags);
CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle* handle, void* file, int type);
CUresult cuMemAddressReserve(CUdeviceptr* address, std::size_t bytes, std::size_t alignment, CUdeviceptr wanted,
                             unsigned long long flags);
CUresult cuMemMap(CUdeviceptr address, std::size_t bytes, std::size_t offset, CUmemGenericAllocationHandle handle,
                  unsigned long long flags);
CUresult cuMemSetAccess(CUdeviceptr address, std::size_t bytes, const CUmemAccessDesc* access, std::size_t count);
CUresult cuMemUnmap(CUdeviceptr address, std::size_t bytes);
CUresult cuMemAddressFree(CUdeviceptr address, std::size_t bytes);
CUresult cuMemRelease(CUmemGenericAllocationHandle handle);
CUresult cuStreamWriteValue32(CUstream stream, CUdeviceptr word, std::uint32_t number, unsigned flags);
CUresult cuStreamWaitValue32(CUstream stream, CUdeviceptr word, std::uint32_t number, unsigned flags);

enum cudaDriverEntryPointQueryResult { cudaDriverEntryPointSuccess };
enum { cudaEnableDefault };
/// One of those above by its name.
cudaError_t cudaGetDriverEntryPoint(const char* name, void** call, unsigned flags,
                                    cudaDriverEntryPointQueryResult* found);
