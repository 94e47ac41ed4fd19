#include "comm/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <boost/interprocess/anonymous_shared_memory.hpp>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "comm/free_memory.h"
#include "kernels/memory/error.h"

namespace coe {
namespace {

namespace ipc = boost::interprocess;

constexpr const char* kLimited = "; is the address space limited (ulimit -v)?";

/// What boost maps.
struct Mappable {
  int descriptor;
  ipc::mapping_handle_t get_mapping_handle() const { return {descriptor, false}; }
};

/// The system gives as much as is asked for, and kills somebody once it is touched: so look before.
void check_room(std::size_t bytes, int copies) {
  const std::uint64_t room = free_memory();
  if (bytes <= room / static_cast<std::uint64_t>(copies)) return;
  fail(ErrorCode::kSystem, "shared memory: no room for ", bytes, " bytes in each of ", copies,
       " ranks of this machine, which has ", room, " bytes free");
}

[[noreturn]] void refuse(const char* call, std::size_t bytes, int error) {
  fail(ErrorCode::kSystem, "shared memory: ", bytes, " bytes cannot be made: ", call, ": ", std::strerror(error));
}

/// Room for all of it, now: a page that cannot be had later would end the process by SIGBUS. So would another process
/// that makes it smaller.
void reserve(int descriptor, std::size_t bytes) {
  const auto size = static_cast<off_t>(bytes);
  if (ftruncate(descriptor, size) != 0) refuse("ftruncate", bytes, errno);
  if (const int error = posix_fallocate(descriptor, 0, size); error != 0) refuse("fallocate", bytes, error);
  if (fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) refuse("seal", bytes, errno);
}

}  // namespace

SharedMemory SharedMemory::create(std::size_t bytes, int copies) {
  check_room(bytes, copies);
  Descriptor file(memfd_create("coe-window", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.is_open()) refuse("memfd_create", bytes, errno);
  reserve(file.get(), bytes);
  return map(std::move(file), bytes);
}

SharedMemory SharedMemory::own(std::size_t bytes) {
  check_room(bytes, 1);
  try {
    return {Descriptor(), ipc::anonymous_shared_memory(bytes)};
  } catch (const ipc::interprocess_exception& error) {
    fail(ErrorCode::kSystem, "shared memory: ", bytes, " bytes cannot be had: ", error.what(), kLimited);
  }
}

SharedMemory SharedMemory::map(Descriptor file, std::size_t bytes) {
  try {
    ipc::mapped_region region(Mappable{file.get()}, ipc::read_write, 0, bytes);
    return {std::move(file), std::move(region)};
  } catch (const ipc::interprocess_exception& error) {
    fail(ErrorCode::kSystem, "shared memory: ", bytes, " bytes cannot be mapped: ", error.what(), kLimited);
  }
}

}  // namespace coe
