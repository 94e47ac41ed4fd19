#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include "comm/transport.h"
#include "runtime/config/config.h"

namespace coe {

/// How one case went; the same on every rank.
struct CaseOutcome {
  double max_error = 0;
  std::string worst;         ///< the tensor that max_error belongs to
  std::uint64_t digest = 0;  ///< of output (or logits), input gradient and expert gradients in global order
};

/// What a case is run on and how.
struct VerifyWay {
  Device::Kind device = Device::Kind::kCpu;
  DeviceReach reach = DeviceReach::kAuto;    ///< of devices
  MessageSizes sizes = MessageSizes::kHost;  ///< of messages between them
  ExchangeOrder order = ExchangeOrder::kExact;
  int threads = 1;  ///< of each rank on its experts
};

/// Runs one layer or model case (tests/cases) over all ranks, forward and backward, a model case also through its
/// optimiser steps, and compares everything that the file expects. Throws kBadInput for a broken file and for options
/// that this build does not know. Collective.
CaseOutcome verify_case(const std::filesystem::path& path, Transport& world, std::chrono::milliseconds deadline,
                        const VerifyWay& way = {});

}  // namespace coe
