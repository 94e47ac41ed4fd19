#include <gtest/gtest.h>

#include "runtime/data/maths/maths_templates.h"
#include "tests/runtime/data/maths/maths_templates_check.h"

namespace coe {

namespace {

TEST(MathsCountTemplatesTest, QuestionsShowEveryNumberThatWasDrawn) { check_templates(maths_count_templates()); }

}  // namespace

}  // namespace coe
