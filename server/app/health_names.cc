#include "server/app/health_names.h"

namespace mcgw::app {

std::vector<std::pair<std::string, bool>> HealthNames::Update(std::map<std::string, bool> health,
                                                              const std::function<bool(const std::string&)>& exists) {
  // An interface without channels is no longer served.
  for (const auto& [name, told] : told_) health.emplace(name, false);
  std::vector<std::pair<std::string, bool>> news;
  for (const auto& [name, serving] : health) {
    const auto at = told_.find(name);
    if (at == told_.end()) {
      const bool awaited = !exists(name);
      if (awaited ? awaited_ >= kMostAwaited : told_.size() - awaited_ >= kMostInterfaces) continue;
      if (awaited) ++awaited_;
      told_.emplace(name, Told{serving, awaited});
      news.emplace_back(name, serving);
      continue;
    }
    Told& told = at->second;
    if (told.awaited && exists(name)) {
      told.awaited = false;
      --awaited_;
    }
    if (told.serving == serving) continue;
    told.serving = serving;
    news.emplace_back(name, serving);
  }
  return news;
}

}  // namespace mcgw::app
