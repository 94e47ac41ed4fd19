#include "runtime/exchange/row_window.h"

#include <gtest/gtest.h>

#include "tests/ranks.h"

namespace coe {
namespace {

TEST(RowWindowOnRanks, GrowsByDoublingAndShrinksWhenLongTooLarge) {
  for_each_ranks([](Transport& world) {
    RowWindow window({&world}, 7);
    window.fit(100);
    const std::size_t first = window.bytes();
    EXPECT_GE(first, 100 * 8 * sizeof(float));
    EXPECT_EQ(window.growths(), 0);
    window.fit(101);
    EXPECT_EQ(window.growths(), 1);
    EXPECT_GE(window.bytes(), 2 * first - 4096);
    window.fit(5000);
    const std::size_t most = window.bytes();
    for (int use = 0; use < 200; ++use) window.fit(200);
    EXPECT_EQ(window.bytes(), most) << "not long yet";
    for (int use = 0; use < 400; ++use) window.fit(200);
    EXPECT_LT(window.bytes(), most / 4);
    EXPECT_GE(window.bytes(), 200 * 8 * sizeof(float));
    EXPECT_EQ(window.growths(), 2) << "shrinking is none";
    for (int use = 0; use < 1000; ++use) window.fit(1);
    EXPECT_GE(window.bytes(), first) << "never below what it was made for";
  });
}

TEST(RowWindowOnRanks, AWindowMadeAnewCountsFromTheBeginning) {
  on_ranks(2, [](Transport& world) {
    RowWindow window({&world}, 1);
    window.fit(10);
    window.use();
    window.use();
    EXPECT_EQ(window.number(), 2U);
    window.fit(1000);
    EXPECT_EQ(window.number(), 0U);
    EXPECT_EQ(window.signals().heard(1 - world.rank(), RowWindow::kReady), 0U);
  });
}

}  // namespace
}  // namespace coe
