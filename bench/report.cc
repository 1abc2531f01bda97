#include "bench/report.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace mcgw::bench {
namespace {

using Row = std::vector<std::string>;

// A Markdown table, the first row its head.
std::string Format(const std::vector<Row>& rows) {
  std::vector<size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t i = 0; i < widths.size(); ++i) absl::StrAppendFormat(&text, "| %-*s ", widths[i], rows[r][i]);
    text += "|\n";
    if (r != 0) continue;
    for (const size_t width : widths) absl::StrAppend(&text, "|", std::string(width + 2, '-'));
    text += "|\n";
  }
  return text;
}

std::string Number(double value) {
  return absl::StrFormat(value >= 100 ? "%.0f" : value >= 10 ? "%.1f" : "%.2f", value);
}

// "5.1 (4.9-5.3)": median and range.
std::string Spread(std::vector<double> values) {
  if (values.empty()) return "-";
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  const double median = values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return absl::StrFormat("%s (%s-%s)", Number(median), Number(values.front()), Number(values.back()));
}

std::string Over(const std::vector<Outcome>& rounds, double Outcome::*field) {
  std::vector<double> values;
  for (const Outcome& outcome : rounds) {
    if (outcome.invalid.empty()) values.push_back(outcome.*field);
  }
  return Spread(std::move(values));
}

// Only rounds count in which both are valid.
std::string Ratio(const std::vector<Outcome>& rounds, const std::vector<Outcome>& reference, double Outcome::*field) {
  std::vector<double> values;
  for (size_t i = 0; i < std::min(rounds.size(), reference.size()); ++i) {
    if (!rounds[i].invalid.empty() || !reference[i].invalid.empty() || reference[i].*field == 0) continue;
    values.push_back(rounds[i].*field / (reference[i].*field));
  }
  return Spread(std::move(values));
}

std::string Validity(const std::vector<Outcome>& rounds) {
  const auto valid = std::ranges::count_if(rounds, [](const Outcome& outcome) { return outcome.invalid.empty(); });
  const std::string text = absl::StrFormat("%d of %d", valid, rounds.size());
  for (const Outcome& outcome : rounds) {
    if (outcome.invalid.empty()) continue;
    return absl::StrCat(text, rounds.size() - valid > 1 ? "; the first: " : ": ", absl::StrJoin(outcome.invalid, "; "));
  }
  return text;
}

const std::vector<Outcome>* RoundsOf(const Case& result, absl::string_view subject) {
  const auto at = std::ranges::find(result.subjects, subject);
  return at == result.subjects.end() ? nullptr : &result.outcomes[at - result.subjects.begin()];
}

std::string Quoted(absl::string_view text) { return absl::StrCat("\"", absl::Utf8SafeCEscape(text), "\""); }

std::string OutcomeJson(const Outcome& outcome) {
  const auto quoted = [](std::string* out, const std::string& text) { *out += Quoted(text); };
  return absl::StrFormat(
      R"({"valid":%s,"invalid":[%s],"deliveries":%d,"missing":%d,"announced":%d,"cpu_ns_per_delivery":%.1f,)"
      R"("switches_per_delivery":%.5f,"p50_us":%.2f,"p99_us":%.2f,"max_us":%.2f,"sent_per_second":%.1f,)"
      R"("client_core_busy":%.3f,"client_own":%.3f,"low_priority":%.3f,"others_on_server_core":%.3f,)"
      R"("server_resident_bytes":%d})",
      outcome.invalid.empty() ? "true" : "false", absl::StrJoin(outcome.invalid, ",", quoted), outcome.deliveries,
      outcome.missing, outcome.announced, outcome.cpu_ns_per_delivery, outcome.switches_per_delivery, outcome.p50_us,
      outcome.p99_us, outcome.max_us, outcome.sent_per_second, outcome.client_core_busy, outcome.client_own,
      outcome.low_priority, outcome.others_on_server_core, outcome.server_resident_bytes);
}

std::string CaseJson(const Case& result) {
  std::vector<std::string> subjects;
  for (size_t i = 0; i < result.subjects.size(); ++i) {
    const auto outcome = [](std::string* out, const Outcome& each) { *out += OutcomeJson(each); };
    subjects.push_back(
        absl::StrCat(Quoted(result.subjects[i]), ":[", absl::StrJoin(result.outcomes[i], ",", outcome), "]"));
  }
  return absl::StrFormat(
      R"({"payload_bytes":%d,"subscribers":%d,"datagrams_per_second":%.0f,"seconds":%g,"rounds":{%s}})",
      result.work.payload_bytes, result.work.subscribers, result.work.datagrams_per_second, result.work.seconds,
      absl::StrJoin(subjects, ","));
}

std::string RateJson(const LossFreeRate& rate) {
  return absl::StrFormat(
      R"({"subject":%s,"payload_bytes":%d,"subscribers":%d,"datagrams_per_second":%.0f,"cpu_ns_per_delivery":%.1f,)"
      R"("next":%s})",
      Quoted(rate.subject), rate.payload_bytes, rate.subscribers, rate.datagrams_per_second, rate.cpu_ns_per_delivery,
      Quoted(rate.next));
}

}  // namespace

std::string HostText(const Report& report) {
  return absl::StrFormat(
      "mcgw %s; %s; kernel %s; %s, %d cores; server on core %d, sender and readers on core %d, nice %d\n",
      report.version, report.host.system, report.host.kernel, report.host.processor, report.host.cores,
      report.server_core, report.client_core, report.priority);
}

std::string CaseTable(const Case& result) {
  std::vector<Row> rows = {{"", "CPU ns/delivery", "p50 us", "p99 us", "switches/delivery", "missing", "announced",
                            "client core", "valid rounds"}};
  for (size_t i = 0; i < result.subjects.size(); ++i) {
    const std::vector<Outcome>& rounds = result.outcomes[i];
    uint64_t missing = 0, announced = 0;
    for (const Outcome& outcome : rounds) missing += outcome.missing;
    for (const Outcome& outcome : rounds) announced += outcome.announced;
    const bool server = result.subjects[i] != kDirect;
    rows.push_back({result.subjects[i], server ? Over(rounds, &Outcome::cpu_ns_per_delivery) : "-",
                    Over(rounds, &Outcome::p50_us), Over(rounds, &Outcome::p99_us),
                    server ? Over(rounds, &Outcome::switches_per_delivery) : "-", absl::StrCat(missing),
                    absl::StrCat(announced), Over(rounds, &Outcome::client_core_busy), Validity(rounds)});
  }
  const std::vector<Outcome>* gateway = RoundsOf(result, kGateway);
  for (const char* name : {kTcp, kTcpBatch, kDirect}) {
    const std::vector<Outcome>* reference = RoundsOf(result, name);
    if (gateway == nullptr || reference == nullptr) continue;
    rows.push_back({absl::StrCat("mcgw / ", name), Ratio(*gateway, *reference, &Outcome::cpu_ns_per_delivery),
                    Ratio(*gateway, *reference, &Outcome::p50_us), Ratio(*gateway, *reference, &Outcome::p99_us), "",
                    "", "", "", ""});
  }
  return absl::StrFormat("%d B, %d subscriber%s, %.0f datagrams/s\n\n%s", result.work.payload_bytes,
                         result.work.subscribers, result.work.subscribers == 1 ? "" : "s",
                         result.work.datagrams_per_second, Format(rows));
}

std::string RateTable(const std::vector<LossFreeRate>& rates) {
  std::vector<Row> rows = {{"", "payload", "subscribers", "loss-free", "CPU ns/delivery", "what ended the search"}};
  for (const LossFreeRate& rate : rates) {
    const bool some = rate.datagrams_per_second != 0;
    rows.push_back({rate.subject, absl::StrCat(rate.payload_bytes, " B"), absl::StrCat(rate.subscribers),
                    some ? absl::StrFormat("%.0f/s", rate.datagrams_per_second) : "none",
                    some ? Number(rate.cpu_ns_per_delivery) : "-", rate.next});
  }
  return Format(rows);
}

std::string ToJson(const Report& report) {
  const auto case_json = [](std::string* out, const Case& each) { *out += CaseJson(each); };
  const auto rate_json = [](std::string* out, const LossFreeRate& each) { *out += RateJson(each); };
  return absl::StrFormat(
      "{\"version\":%s,\"system\":%s,\"kernel\":%s,\"processor\":%s,\"cores\":%d,\"server_core\":%d,"
      "\"client_core\":%d,\"nice\":%d,\n\"cases\":[\n%s],\n\"loss_free_rates\":[\n%s]}\n",
      Quoted(report.version), Quoted(report.host.system), Quoted(report.host.kernel), Quoted(report.host.processor),
      report.host.cores, report.server_core, report.client_core, report.priority,
      absl::StrJoin(report.cases, ",\n", case_json), absl::StrJoin(report.rates, ",\n", rate_json));
}

}  // namespace mcgw::bench
