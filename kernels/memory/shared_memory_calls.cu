#include <cuda.h>

#include "kernels/memory/device_calls.h"
#include "kernels/memory/launch.cuh"

// The driver's own calls, which the runtime finds: a program that links the driver does not start where there is none.

namespace coe::cuda {
namespace {

void* find_call(const char* name) {
  void* call = nullptr;
  cudaDriverEntryPointQueryResult found{};
// CUDA 12 before 12.5 has no other.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  expect_success(name, cudaGetDriverEntryPoint(name, &call, cudaEnableDefault, &found));
#pragma GCC diagnostic pop
  if (call == nullptr) fail(ErrorCode::kSystem, "cuda: this driver has no ", name);
  return call;
}

/// The driver's `call` of that name.
#define COE_DRIVER(call) reinterpret_cast<decltype(call)*>(find_call(#call))

void expect_done(const char* what, CUresult result) {
  if (result != CUDA_SUCCESS) fail(ErrorCode::kSystem, "cuda: ", what, ": the driver says error ", int{result});
}

CUmemAllocationProp kind_of(int device) {
  CUmemAllocationProp kind{};
  kind.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  kind.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  kind.location.id = device;
  kind.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  return kind;
}

std::size_t rounded_up(std::size_t bytes, int device) {
  const CUmemAllocationProp kind = kind_of(device);
  std::size_t unit = 0;
  expect_done("window", COE_DRIVER(cuMemGetAllocationGranularity)(&unit, &kind, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED));
  return (bytes + unit - 1) / unit * unit;
}

/// Maps what the handle stands for and gives the handle up.
std::byte* map(CUmemGenericAllocationHandle handle, std::size_t bytes, int device) {
  CUdeviceptr address = 0;
  expect_done("window", COE_DRIVER(cuMemAddressReserve)(&address, bytes, 0, 0, 0));
  expect_done("window", COE_DRIVER(cuMemMap)(address, bytes, 0, handle, 0));
  CUmemAccessDesc access{};
  access.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  access.location.id = device;
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  expect_done("window", COE_DRIVER(cuMemSetAccess)(address, bytes, &access, 1));
  expect_done("window", COE_DRIVER(cuMemRelease)(handle));
  return reinterpret_cast<std::byte*>(address);
}

CUdeviceptr address_of(std::byte* memory) { return reinterpret_cast<CUdeviceptr>(memory); }

void use_device(int device) { expect_success("device", cudaSetDevice(device)); }

}  // namespace

std::byte* allocate_shared(std::size_t bytes, int device, int& file) {
  use_device(device);
  const std::size_t whole = rounded_up(bytes, device);
  const CUmemAllocationProp kind = kind_of(device);
  CUmemGenericAllocationHandle handle{};
  const CUresult made = COE_DRIVER(cuMemCreate)(&handle, whole, &kind, 0);
  if (made == CUDA_ERROR_OUT_OF_MEMORY) {
    fail(ErrorCode::kSystem, "window: no memory for ", whole, " bytes on CUDA device ", device);
  }
  expect_done("window", made);
  expect_done("window",
              COE_DRIVER(cuMemExportToShareableHandle)(&file, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
  std::byte* const memory = map(handle, whole, device);
  expect_success("window", cudaMemset(memory, 0, whole));
  expect_success("window", cudaDeviceSynchronize());
  return memory;
}

std::byte* map_shared(int file, std::size_t bytes, int device) {
  use_device(device);
  CUmemGenericAllocationHandle handle{};
  void* const number = reinterpret_cast<void*>(static_cast<std::uintptr_t>(file));
  expect_done("window",
              COE_DRIVER(cuMemImportFromShareableHandle)(&handle, number, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
  return map(handle, rounded_up(bytes, device), device);
}

// A driver that refuses here leaves the memory to the end of the process.
void unmap_shared(std::byte* memory, std::size_t bytes, int device) noexcept {
  try {
    use_device(device);
    const std::size_t whole = rounded_up(bytes, device);
    COE_DRIVER(cuMemUnmap)(address_of(memory), whole);
    COE_DRIVER(cuMemAddressFree)(address_of(memory), whole);
  } catch (const Error&) {
    cudaGetLastError();
  }
}

void write_number(void* stream, std::byte* word, std::uint32_t number, int device) {
  use_device(device);
  expect_done("window", COE_DRIVER(cuStreamWriteValue32)(static_cast<CUstream>(stream), address_of(word), number,
                                                         CU_STREAM_WRITE_VALUE_DEFAULT));
}

void await_number(void* stream, std::byte* word, std::uint32_t number, int device) {
  use_device(device);
  expect_done("window", COE_DRIVER(cuStreamWaitValue32)(static_cast<CUstream>(stream), address_of(word), number,
                                                        CU_STREAM_WAIT_VALUE_GEQ));
}

}  // namespace coe::cuda
