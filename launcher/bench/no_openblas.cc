#include "launcher/bench/product_library.h"

namespace coe {

ProductLibrary openblas() { return {"openblas", nullptr}; }

}  // namespace coe
