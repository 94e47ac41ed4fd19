#include "runtime/ranks/make_device_messages.h"

#include "comm/make_transport.h"
#include "comm/nccl_messages.h"
#include "tests/bad_input.h"

namespace coe {
namespace {

TEST(MakeDeviceMessages, TheHostNeedsNone) {
  const auto world = make_transport("local");
  EXPECT_EQ(make_device_messages({world.get()}, {}), nullptr);
  EXPECT_EQ(make_device_messages({world.get()}, {.device = kCpu, .reach = DeviceReach::kNccl}), nullptr);
}

TEST(MakeDeviceMessages, WhatCannotBeHadIsRefused) {
  if (nccl_missing().empty()) GTEST_SKIP() << "this build has NCCL";
  const auto world = make_transport("local");
  const std::string text =
      bad_input([&] { make_device_messages({world.get()}, {.device = kCuda, .reach = DeviceReach::kNccl}); });
  EXPECT_NE(text.find("exchange.devices: \"nccl\" cannot be had: this build has no NCCL"), std::string::npos) << text;
}

TEST(MakeDeviceMessages, GoByTheHostsWhereTheyAreTold) {
  const auto world = make_transport("local");
  const auto messages = make_device_messages(
      {world.get()}, {.device = kCuda, .reach = DeviceReach::kHost, .sizes = MessageSizes::kPadded});
  ASSERT_NE(messages, nullptr);
  EXPECT_TRUE(messages->sizes_are_fixed());
  EXPECT_EQ(make_device_messages({world.get()}, {.device = kCuda}), nullptr) << "ranks of one process map memory";
}

}  // namespace
}  // namespace coe
