#include "launcher/train/capacity_note.h"

#include <fmt/format.h>

#include "runtime/routing/admission.h"

namespace coe {

std::string look_ahead_note(const LayerConfig& layer) {
  if (!looks_ahead(layer)) return {};
  const std::string keys =
      layer.reroute_rounds > 0 ? "layer.reroute_rounds lets" : "layer.drop_policy probability lets";
  return keys +
         " training look ahead: a later token can take an earlier one's expert; validation, eval and generate drop no "
         "choice unless validation.capacity_factor says so";
}

std::string capacity_note(const Config& config) {
  const LayerConfig& layer = config.model.layer;
  if (layer.drop_policy == DropPolicy::kNone) return {};
  const double factor = config.validation.capacity_factor;
  if (factor == 0) return ", without dropping choices";
  return fmt::format(", with capacity factor {}{}", factor, looks_ahead(layer) ? ", looking ahead" : "");
}

}  // namespace coe
