#include <gtest/gtest.h>

#include "runtime/maths_templates.h"
#include "tests/runtime/maths_templates_check.h"

namespace coe {

namespace {

TEST(MathsMoneyTemplatesTest, QuestionsShowEveryNumberThatWasDrawn) { check_templates(maths_money_templates()); }

}  // namespace

}  // namespace coe
