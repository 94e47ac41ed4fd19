#pragma once

#include <boost/json.hpp>
#include <string>

namespace coe {

/// JSON of a value in one line. Numbers are written as people write them, 0.0161 and 1e-08, with as few digits as read
/// back to the same number; one that is not finite is null, for which JSON has no number.
std::string json_text(const boost::json::value& value);

}  // namespace coe
