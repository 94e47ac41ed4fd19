#include "comm/wait.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "comm/local_transport.h"
#include "tests/launcher/scratch.h"

namespace coe {
namespace {

using namespace std::chrono_literals;

constexpr Phase kCombine{.name = "combine", .layer = 1, .iteration = 0};

/// Rank 0 of two, of which the other one never answers.
class RecordedGroup : public ::testing::Test {
 protected:
  FlightRecord newest() const { return read_flight_file(flight_path(scratch_.path(), 0)).records.back(); }

  Scratch scratch_;
  LocalHub hub_{2};
  std::unique_ptr<Transport> zero_ = hub_.connect(0), one_ = hub_.connect(1);
  FlightRecorder recorder_{scratch_.path(), 0, 2};
  Group group_{zero_.get(), 300ms, &recorder_};
  std::array<std::byte, 8> memory_{};
  Piece piece_{memory_.data(), 8};
  Message message_{1, {&piece_, 1}};
};

TEST_F(RecordedGroup, AnExchangeIsOpenFromItsPostToTheEndOfItsWait) {
  const Ticket ticket = post(group_, {&message_, 1}, {}, kCombine);
  EXPECT_EQ(newest().state, FlightState::kOpen);
  EXPECT_EQ(newest().bytes_out, 8U);
  EXPECT_EQ(newest().bytes_in, 0U);
  std::array<std::byte, 8> landing{};
  const Piece place{landing.data(), 8};
  const Message receive{0, {&place, 1}};
  wait({one_.get()}, one_->post({}, {&receive, 1}), kCombine);
  wait(group_, ticket, kCombine);
  EXPECT_EQ(newest().state, FlightState::kDone);
  EXPECT_EQ(newest().text(), "combine of layer 1, iteration 0");
}

TEST_F(RecordedGroup, AWaitThatRunsOutLeavesWhomItMissed) {
  EXPECT_THROW(wait(group_, post(group_, {}, {&message_, 1}, kCombine), kCombine), Error);
  EXPECT_EQ(newest().state, FlightState::kGivenUp);
  EXPECT_EQ(newest().missing, 1U);
  EXPECT_EQ(newest().named[0], 1);
  const FlightHeader header = read_flight_header(flight_path(scratch_.path(), 0));
  EXPECT_EQ(header.still_to, 0) << "a rank that waits gives signs of life";
}

/// Two ranks whose job says where they run; nothing is ever sent.
class PlacedTransport : public Transport {
 public:
  PlacedTransport(Transport& inner, std::span<const RankPlace> places)
      : Transport(kDefaultDeadline, places), inner_(inner) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  Reach reach(int peer) const override { return inner_.reach(peer); }
  Ticket post(std::span<const Message> sends, std::span<const Message> receives) override {
    return inner_.post(sends, receives);
  }
  bool test(Ticket ticket) override { return inner_.test(ticket); }
  Shortfall lack(Ticket ticket) override { return inner_.lack(ticket); }
  void give_up(Ticket ticket) override { inner_.give_up(ticket); }
  void check_peers() override { ++looks; }
  Shortfall lack_of(std::span<const int> peers) const override { return inner_.lack_of(peers); }
  using Transport::make_window;
  std::unique_ptr<Window> make_window(std::size_t bytes, Device device) override {
    return inner_.make_window(bytes, device);
  }
  void abort(const Error& error) noexcept override { inner_.abort(error); }
  std::unique_ptr<Transport> split(int color, int key) override { return inner_.split(color, key); }

  int looks = 0;

 private:
  Transport& inner_;
};

/// Rank 0 is this process on host "here"; the place of rank 1 is made up.
class PlacedGroup : public RecordedGroup {
 protected:
  PlacedGroup() {
    places_.fill(own_place());
    for (RankPlace& place : places_) {
      place.host = {};
      std::ranges::copy(std::string_view("here"), place.host.begin());
      place.process = 4711;
    }
    places_[0] = own_place();
    places_[0].host = places_[1].host;
  }
  /// What a wait for a message of rank 1 says.
  std::string what_a_wait_says(std::chrono::milliseconds deadline) {
    PlacedTransport transport(*zero_, places_);
    const Group group{&transport, deadline, &recorder_};
    try {
      wait(group, post(group, {}, {&message_, 1}, kCombine), kCombine);
      return "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kPeer);
      return error.what();
    }
  }
  std::string start() const {
    return "rank 0 (here, pid " + std::to_string(getpid()) + ") waits for rank 1 (here, pid " +
           std::to_string(places_[1].process) + ") in combine of layer 1, iteration 0: ";
  }

  std::array<RankPlace, 2> places_;
};

TEST_F(PlacedGroup, NobodyWaitsForAPeerWhoseProcessHasDied) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  places_[1].process = child;
  EXPECT_EQ(what_a_wait_says(60s), start() + "the process of rank 1 has died");
}

TEST_F(PlacedGroup, AProcessOfAnotherNamespaceIsNotTakenForDead) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  places_[1].process = child;
  places_[1].processes += 1;
  EXPECT_EQ(what_a_wait_says(300ms), start() + "0 of 8 bytes arrived after 0.3 s");
}

TEST_F(PlacedGroup, AStoppedPeerIsNamedAsSuch) {
  const pid_t child = fork();
  if (child == 0) {
    raise(SIGSTOP);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, WUNTRACED);
  places_[1].process = child;
  places_[1].started = 0;
  EXPECT_EQ(what_a_wait_says(300ms), start() + "0 of 8 bytes arrived after 0.3 s; rank 1 is stopped (SIGSTOP)");
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

TEST_F(PlacedGroup, AHostOfWhichNoRankAnswersIsNamed) {
  std::ranges::copy(std::string_view("far"), places_[1].host.begin());
  places_[1].host[3] = '\0';
  places_[1].boot.front() ^= 1;
  EXPECT_THAT(
      what_a_wait_says(300ms),
      testing::HasSubstr("waits for rank 1 (far, pid 4711) in combine of layer 1, iteration 0: 0 of 8 bytes "
                         "arrived after 0.3 s; no rank of host far answers: it, or the link to it, may be lost"));
}

TEST_F(PlacedGroup, WhileASignalIsAwaitedMessagesTravel) {
  PlacedTransport transport(*zero_, places_);
  const auto window = zero_->make_window(Signals::bytes_for(2, 1));
  const Signals signals(*window, 0, 0, 1);
  const AwaitedSignal never{1, 0, 1};
  EXPECT_THROW(wait(Group{&transport, 50ms}, signals, {&never, 1}, 0, kCombine), Error);
  EXPECT_GT(transport.looks, 10);
}

/// Something that never comes from the own device.
class NeverDone : public Awaited {
 public:
  bool done() override { return false; }
  Shortfall lack() override { return {.rank = 0, .peers = {0}}; }
  void give_up() override { given_up = true; }
  std::string seen(const Shortfall& /*lack*/) override { return "its work was not done"; }
  bool given_up = false;
};

TEST_F(RecordedGroup, AWaitForTheOwnDeviceRunsOutToo) {
  NeverDone never;
  group_.deadline = 50ms;
  try {
    wait(group_, never, 0, kCombine);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "rank 0 waits for its device in combine of layer 1, iteration 0: its work was not done after 0.05 s");
  }
  EXPECT_TRUE(never.given_up);
}

/// Something that gives a sign of work now and then, until it has given so many.
class DoneAfterSigns : public NeverDone {
 public:
  bool done() override {
    const auto now = std::chrono::steady_clock::now();
    if (now - heard_ < 40ms) return false;
    heard_ = now;
    return --signs_ == 0;
  }
  std::chrono::steady_clock::time_point heard() const override { return heard_; }

 private:
  std::chrono::steady_clock::time_point heard_ = std::chrono::steady_clock::now();
  int signs_ = 10;
};

TEST_F(RecordedGroup, TheDeadlineCountsFromTheLastSignOfWork) {
  DoneAfterSigns slow;
  group_.deadline = 200ms;
  const auto start = std::chrono::steady_clock::now();
  wait(group_, slow, 0, kCombine);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 400ms);
  EXPECT_FALSE(slow.given_up);
}

TEST_F(RecordedGroup, AStreamOfTheCpuIsDone) { wait(group_, Stream(kCpu), kCombine); }

TEST_F(RecordedGroup, NobodyWaitsInAJobThatHasFailed) {
  ASSERT_TRUE(recorder_.claim_failure("rank 5 found the disk full").own);
  group_.deadline = 60s;
  try {
    wait(group_, post(group_, {}, {&message_, 1}, kCombine), kCombine);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "rank 0 waits for rank 1 in combine of layer 1, iteration 0: another rank has failed");
  }
}

}  // namespace
}  // namespace coe
