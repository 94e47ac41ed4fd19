#pragma once

#include <string>

namespace coe {

/// Where memory lives and verbs run.
struct Device {
  enum class Kind { kCpu, kCuda } kind = Kind::kCpu;
  int index = 0;
  bool operator==(const Device&) const = default;
};

inline constexpr Device kCpu{};
inline constexpr Device kCuda{Device::Kind::kCuda, 0};

/// CUDA devices that this process can use; 0 in a build without CUDA and where the driver has none.
int cuda_devices();
/// What a CUDA device calls itself, with its architecture: "NVIDIA H100 80GB HBM3 (sm_90)". Throws kSystem without it.
std::string cuda_device_name(int index);
/// Where it sits in its host: "0000:3B:00.0". Throws kSystem without it.
std::string cuda_device_address(int index);

}  // namespace coe
