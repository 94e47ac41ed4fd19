#include "launcher/failure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>

#include "kernels/memory/error.h"
#include "tests/launcher/scratch.h"

namespace coe {
namespace {

struct Report {
  int code;
  std::string text;
};

Report report_of(const std::exception& error) {
  ::testing::internal::CaptureStderr();
  const int code = report_failure(error);
  return {code, ::testing::internal::GetCapturedStderr()};
}

auto at(const std::filesystem::path& folder) {
  return [=](Transport&) { return folder; };
}

TEST(Failure, BadInputExitsWithTwo) {
  const Report report = report_of(Error(ErrorCode::kBadInput, "topk: k is 9,\nexperts is 8"));
  EXPECT_EQ(report.code, 2);
  EXPECT_EQ(report.text, "coe: topk: k is 9, experts is 8\n");
}

TEST(Failure, EverythingElseExitsWithOne) {
  EXPECT_EQ(report_of(Error(ErrorCode::kNonFinite, "x")).code, 1);
  EXPECT_EQ(report_of(std::bad_alloc()).text, "coe: memory is used up\n");
  EXPECT_EQ(report_of(std::runtime_error("x")).code, 1);
}

TEST(Failure, ARankThatFailsSaysSoAndReturnsItsCode) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(run_ranks({}, [](Transport&) { check(false, "no"); }), 2);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "coe: no\n");
  EXPECT_EQ(run_ranks({}, [](Transport& world) { EXPECT_EQ(world.size(), 1); }), 0);
}

TEST(Failure, FlightRecordsStayWhereAJobFailsAndTheLineNamesThem) {
  const Scratch scratch;
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(run_recorded_ranks({}, at(scratch / "flight"),
                               [](Transport&, FlightRecorder&) { fail(ErrorCode::kSystem, "disk full"); }),
            1);
  const std::string folder = (scratch / "flight").string();
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "coe: disk full; coe inspect " + folder + " tells more\n");
  EXPECT_TRUE(std::filesystem::exists(scratch / "flight/rank_0.flight"));
  EXPECT_THAT(read_text(scratch / "flight/failure_0.txt"), ::testing::StartsWith("disk full\n"));
}

TEST(Failure, FlightRecordsGoWithAnOrderlyEndAndWithBadInput) {
  const Scratch scratch;
  const auto body = [&](Transport&, FlightRecorder& recorder) {
    EXPECT_TRUE(std::filesystem::exists(recorder.folder() / "rank_0.flight"));
  };
  EXPECT_EQ(run_recorded_ranks({}, at(scratch / "flight"), body), 0);
  EXPECT_FALSE(std::filesystem::exists(scratch / "flight"));
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(run_recorded_ranks({}, at(scratch / "flight"), [](Transport&, FlightRecorder&) { check(false, "no"); }), 2);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "coe: no\n");
  EXPECT_FALSE(std::filesystem::exists(scratch / "flight"));
}

}  // namespace
}  // namespace coe
