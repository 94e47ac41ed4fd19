#pragma once

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <string>

namespace coe {

/// Memory that processes of one machine share, mapped here until this goes.
class SharedMemory {
 public:
  /// New memory under `name` ("/" and letters), zeroed and all there: no later touch can fail for lack of room. Throws
  /// kSystem, saying how much was asked for, where the machine has too little.
  static SharedMemory create(const std::string& name, std::size_t bytes);
  /// What another process created. Throws kSystem where this process cannot see it.
  static SharedMemory open(const std::string& name, std::size_t bytes);
  /// Takes the name away: whoever has mapped the memory keeps it, and nothing stays behind a killed process. A name
  /// that is not there is no error.
  static void forget(const std::string& name);

  std::byte* data() const { return static_cast<std::byte*>(region_.get_address()); }
  std::size_t bytes() const { return region_.get_size(); }

 private:
  explicit SharedMemory(boost::interprocess::mapped_region region) : region_(std::move(region)) {}

  boost::interprocess::mapped_region region_;
};

}  // namespace coe
