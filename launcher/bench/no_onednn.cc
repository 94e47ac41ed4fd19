#include "launcher/bench/product_library.h"

namespace coe {

ProductLibrary onednn() { return {"onednn", nullptr}; }

}  // namespace coe
