#include "comm/shared_memory.h"

#include <fcntl.h>

#include <boost/interprocess/shared_memory_object.hpp>
#include <cstring>

#include "kernels/memory/error.h"

namespace coe {
namespace {

namespace ipc = boost::interprocess;

/// Room for all of it, now: a page that cannot be had later would end the process by SIGBUS.
void reserve(const ipc::shared_memory_object& memory, const std::string& name, std::size_t bytes) {
  const int error = posix_fallocate(memory.get_mapping_handle().handle, 0, static_cast<off_t>(bytes));
  if (error == 0) return;
  SharedMemory::forget(name);
  fail(ErrorCode::kSystem, "shared memory: no room for ", bytes, " bytes: ", std::strerror(error),
       "; /dev/shm must be large enough for all ranks of the machine");
}

}  // namespace

SharedMemory SharedMemory::create(const std::string& name, std::size_t bytes) {
  try {
    const ipc::shared_memory_object memory(ipc::create_only, name.c_str(), ipc::read_write);
    reserve(memory, name, bytes);
    return SharedMemory(ipc::mapped_region(memory, ipc::read_write, 0, bytes));
  } catch (const ipc::interprocess_exception& error) {
    fail(ErrorCode::kSystem, "shared memory: ", name, " of ", bytes, " bytes cannot be made: ", error.what());
  }
}

SharedMemory SharedMemory::open(const std::string& name, std::size_t bytes) {
  try {
    const ipc::shared_memory_object memory(ipc::open_only, name.c_str(), ipc::read_write);
    return SharedMemory(ipc::mapped_region(memory, ipc::read_write, 0, bytes));
  } catch (const ipc::interprocess_exception& error) {
    fail(ErrorCode::kSystem, "shared memory: ", name, " cannot be opened: ", error.what());
  }
}

void SharedMemory::forget(const std::string& name) { ipc::shared_memory_object::remove(name.c_str()); }

}  // namespace coe
