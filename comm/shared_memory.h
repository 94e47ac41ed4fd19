#pragma once

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>

#include "comm/descriptor.h"

namespace coe {

/// Memory that processes of one machine share, mapped here until this goes. It has no name and lies in no file system:
/// others get it as an open file (DescriptorMail), nobody else can, and it goes with the last process that has it.
class SharedMemory {
 public:
  /// New memory, zeroed and all there: no later touch can fail for lack of room. `copies` processes make as much at
  /// once. Throws kSystem, saying how much was asked for and what there is, where the machine has too little.
  static SharedMemory create(std::size_t bytes, int copies = 1);
  /// The same for this process alone, on any system.
  static SharedMemory own(std::size_t bytes);
  /// What another process has made. Throws kSystem where it cannot be mapped.
  static SharedMemory map(Descriptor file, std::size_t bytes);

  std::byte* data() const { return static_cast<std::byte*>(region_.get_address()); }
  std::size_t bytes() const { return region_.get_size(); }
  /// What can be handed over, until close_file().
  const Descriptor& file() const { return file_; }
  void close_file() { file_ = Descriptor(); }

 private:
  SharedMemory(Descriptor file, boost::interprocess::mapped_region region)
      : file_(std::move(file)), region_(std::move(region)) {}

  Descriptor file_;
  boost::interprocess::mapped_region region_;
};

}  // namespace coe
