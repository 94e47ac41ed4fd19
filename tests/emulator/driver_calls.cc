#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <string_view>

#include "tests/emulator/cuda.h"

namespace {

constexpr std::size_t kUnit = std::size_t{1} << 16;

CUresult result_of(bool done) { return done ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE; }
void* memory_at(CUdeviceptr address) { return reinterpret_cast<void*>(address); }
std::atomic_ref<std::uint32_t> word_at(CUdeviceptr address) {
  return std::atomic_ref(*static_cast<std::uint32_t*>(memory_at(address)));
}

CUresult reserve(void* wanted, std::size_t bytes, CUdeviceptr* address) {
  const int fixed = wanted != nullptr ? MAP_FIXED : 0;
  void* const place = mmap(wanted, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);
  *address = reinterpret_cast<CUdeviceptr>(place);
  return result_of(place != MAP_FAILED);
}

}  // namespace

CUresult cuMemGetAllocationGranularity(std::size_t* unit, const CUmemAllocationProp* /*kind*/, int /*option*/) {
  *unit = kUnit;
  return CUDA_SUCCESS;
}

CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, std::size_t bytes, const CUmemAllocationProp* /*kind*/,
                     unsigned long long /*flags*/) {
  const int file = memfd_create("emulated device", MFD_CLOEXEC);
  *handle = static_cast<CUmemGenericAllocationHandle>(file);
  return result_of(file >= 0 && bytes % kUnit == 0 && ftruncate(file, static_cast<off_t>(bytes)) == 0);
}

CUresult cuMemExportToShareableHandle(void* file, CUmemGenericAllocationHandle handle, int /*type*/,
                                      unsigned long long /*flags*/) {
  *static_cast<int*>(file) = fcntl(static_cast<int>(handle), F_DUPFD_CLOEXEC, 0);
  return result_of(*static_cast<int*>(file) >= 0);
}

CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle* handle, void* file, int /*type*/) {
  const int copy = fcntl(static_cast<int>(reinterpret_cast<std::uintptr_t>(file)), F_DUPFD_CLOEXEC, 0);
  *handle = static_cast<CUmemGenericAllocationHandle>(copy);
  return result_of(copy >= 0);
}

CUresult cuMemAddressReserve(CUdeviceptr* address, std::size_t bytes, std::size_t /*alignment*/, CUdeviceptr /*wanted*/,
                             unsigned long long /*flags*/) {
  return reserve(nullptr, bytes, address);
}

CUresult cuMemMap(CUdeviceptr address, std::size_t bytes, std::size_t /*offset*/, CUmemGenericAllocationHandle handle,
                  unsigned long long /*flags*/) {
  return result_of(mmap(memory_at(address), bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                        static_cast<int>(handle), 0) != MAP_FAILED);
}

CUresult cuMemSetAccess(CUdeviceptr /*address*/, std::size_t /*bytes*/, const CUmemAccessDesc* /*access*/,
                        std::size_t /*count*/) {
  return CUDA_SUCCESS;
}

CUresult cuMemUnmap(CUdeviceptr address, std::size_t bytes) {
  CUdeviceptr same = 0;
  return reserve(memory_at(address), bytes, &same);
}

CUresult cuMemAddressFree(CUdeviceptr address, std::size_t bytes) {
  return result_of(munmap(memory_at(address), bytes) == 0);
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle) { return result_of(close(static_cast<int>(handle)) == 0); }

CUresult cuStreamWriteValue32(CUstream stream, CUdeviceptr word, std::uint32_t number, unsigned /*flags*/) {
  coe::emulator::give(stream, [=] { word_at(word).store(number, std::memory_order_release); });
  return CUDA_SUCCESS;
}

// Work is done when it is given, so that the host waits here in the stream's place.
CUresult cuStreamWaitValue32(CUstream stream, CUdeviceptr word, std::uint32_t number, unsigned /*flags*/) {
  coe::emulator::give(stream, [=] {
    while (static_cast<std::int32_t>(word_at(word).load(std::memory_order_acquire) - number) < 0) sched_yield();
  });
  return CUDA_SUCCESS;
}

cudaError_t cudaGetDriverEntryPoint(const char* name, void** call, unsigned /*flags*/,
                                    cudaDriverEntryPointQueryResult* found) {
#define COE_CALL(one) \
  { #one, reinterpret_cast < void*>(&one) }
  static const std::map<std::string_view, void*> kCalls = {COE_CALL(cuMemGetAllocationGranularity),
                                                           COE_CALL(cuMemCreate),
                                                           COE_CALL(cuMemExportToShareableHandle),
                                                           COE_CALL(cuMemImportFromShareableHandle),
                                                           COE_CALL(cuMemAddressReserve),
                                                           COE_CALL(cuMemMap),
                                                           COE_CALL(cuMemSetAccess),
                                                           COE_CALL(cuMemUnmap),
                                                           COE_CALL(cuMemAddressFree),
                                                           COE_CALL(cuMemRelease),
                                                           COE_CALL(cuStreamWriteValue32),
                                                           COE_CALL(cuStreamWaitValue32)};
#undef COE_CALL
  const auto one = kCalls.find(name);
  *call = one == kCalls.end() ? nullptr : one->second;
  *found = cudaDriverEntryPointSuccess;
  return cudaSuccess;
}
