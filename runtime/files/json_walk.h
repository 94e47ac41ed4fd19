#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace coe {

/// One thing that a JSON text says.
struct JsonItem {
  enum class Kind {
    kObject,   ///< one begins
    kList,     ///< one begins
    kEnd,      ///< the object or list at this path ends
    kString,   ///< `text` without its quotes and escapes
    kInteger,  ///< `integer`, and as it stands in `text`
    kOther     ///< another number, as it stands in `text`, true, false or null
  };
  Kind kind = Kind::kOther;
  std::string_view text = {};
  std::int64_t integer = 0;

  /// "an object", "a list", "a string", "a whole number" or "neither text, whole number, list nor object".
  std::string_view kind_text() const;
};

/// The keys that lead to an item; an element of a list has the empty key. Valid during the call, as `item.text` is.
using JsonVisitor = std::function<void(std::span<const std::string> path, const JsonItem& item)>;

/// Tells `visit` everything that a JSON text says, in its order, without building a tree of it: no piece of memory is
/// larger than the text. Throws kBadInput, beginning with `where`, for what is not JSON or not UTF-8, nests more than
/// 32 deep, or has a key twice in one object; by then items may have been visited. Lets pass what `visit` throws.
void walk_json(std::string_view text, const std::string& where, const JsonVisitor& visit);

/// Text from a file as part of a message: in quotes, escaped, cut where it is long.
std::string in_quotes(std::string_view text);

}  // namespace coe
