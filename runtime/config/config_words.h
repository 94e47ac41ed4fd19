#pragma once

#include <array>
#include <string_view>

#include "runtime/config/config.h"

namespace coe {

/// The words of an enum in a file, in the order of its values.
template <class Enum>
inline constexpr std::array<std::string_view, 0> kWords = {};
template <>
inline constexpr std::array kWords<RouterKind> = {std::string_view("softmax_topk"), std::string_view("sigmoid_topk"),
                                                  std::string_view("relu")};
template <>
inline constexpr std::array kWords<GateSharing> = {std::string_view("independent"), std::string_view("shared")};
template <>
inline constexpr std::array kWords<Residual> = {std::string_view("inner"), std::string_view("outer"),
                                                std::string_view("none")};
template <>
inline constexpr std::array kWords<ResidualStream> = {std::string_view("authors"), std::string_view("prenorm")};
template <>
inline constexpr std::array kWords<BalanceLoss> = {std::string_view("none"), std::string_view("sequence"),
                                                   std::string_view("batch")};
template <>
inline constexpr std::array kWords<DropPolicy> = {std::string_view("none"), std::string_view("position"),
                                                  std::string_view("probability")};
template <>
inline constexpr std::array kWords<CapacityScope> = {std::string_view("global"), std::string_view("rank")};
template <>
inline constexpr std::array kWords<Device::Kind> = {std::string_view("cpu"), std::string_view("cuda")};
template <>
inline constexpr std::array kWords<Precision> = {std::string_view("fp32"), std::string_view("bf16")};
template <>
inline constexpr std::array kWords<ExchangeOrder> = {std::string_view("exact"), std::string_view("partial-sums")};
template <>
inline constexpr std::array kWords<DeviceReach> = {std::string_view("auto"), std::string_view("mapped"),
                                                   std::string_view("nccl"), std::string_view("host")};
template <>
inline constexpr std::array kWords<MessageSizes> = {std::string_view("host"), std::string_view("padded")};
template <>
inline constexpr std::array kWords<Decay> = {std::string_view("all"), std::string_view("matrices")};
template <>
inline constexpr std::array kWords<OnNonFinite> = {std::string_view("stop"), std::string_view("skip")};
template <>
inline constexpr std::array kWords<Recompute> = {std::string_view("none"), std::string_view("attention"),
                                                 std::string_view("layer")};
template <>
inline constexpr std::array kWords<Schedule> = {std::string_view("constant"), std::string_view("cosine")};
template <>
inline constexpr std::array kWords<DataFormat> = {std::string_view("auto"),   std::string_view("maths"),
                                                  std::string_view("text"),   std::string_view("jsonl"),
                                                  std::string_view("tokens"), std::string_view("tokens32")};
template <>
inline constexpr std::array kWords<Documents> = {std::string_view("packed"), std::string_view("separate")};

}  // namespace coe
