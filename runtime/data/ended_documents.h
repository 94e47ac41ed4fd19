#pragma once

#include <cstdint>
#include <memory>

#include "runtime/data/token_array.h"

namespace coe {

/// `tokens` with a mark where a document begins: after every `end_token`, which belongs to the document that it ends.
std::unique_ptr<TokenArray> with_ended_documents(std::unique_ptr<TokenArray> tokens, std::int32_t end_token);

}  // namespace coe
