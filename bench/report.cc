#include "bench/report.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "bench/json.h"
#include "bench/metrics.h"

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

std::string Validity(const Series& series) {
  const auto valid = std::ranges::count_if(series.rounds, [](const Round& round) { return round.valid(); });
  std::string text = absl::StrFormat("%d of %d", valid, series.rounds.size());
  const auto first = std::ranges::find_if(series.rounds, [](const Round& round) { return !round.valid(); });
  if (first != series.rounds.end()) {
    const bool several = static_cast<std::ptrdiff_t>(series.rounds.size()) - valid > 1;
    absl::StrAppend(&text, several ? "; the first: " : ": ", absl::StrJoin(first->invalid(), "; "));
  }
  if (!series.left_out.empty()) absl::StrAppend(&text, "; ", series.left_out);
  return text;
}

// Those that some round of the cell has.
std::vector<Metric> ColumnsOf(const Cell& cell) {
  std::vector<Metric> columns;
  for (const Metric& metric : kMetrics) {
    const bool there = std::ranges::any_of(cell.series, [&](const Series& series) {
      return std::ranges::any_of(series.rounds, [&](const Round& round) { return round.Get(metric.name).has_value(); });
    });
    if (there && metric.shown != Shown::kNo) columns.push_back(metric);
  }
  return columns;
}

std::string ComparisonName(const Series& series, const Series& reference) {
  return absl::StrCat(series.subject, " / ", reference.subject);
}

void WriteSummary(const Summary& summary, JsonWriter* json) {
  json->Open('{').Key("median").Number(summary.median).Key("least").Number(summary.least);
  json->Key("most").Number(summary.most).Key("rounds").Number(static_cast<double>(summary.values)).Close();
}

void WriteRound(const Round& round, JsonWriter* json) {
  json->Open('{').Key("valid").Bool(round.valid()).Key("invalid").Open('[');
  for (const std::string& why : round.invalid()) json->Text(why);
  json->Close();
  for (const auto& [name, value] : round.values()) json->Key(name).Number(value);
  json->Close();
}

void WriteSeries(const Series& series, JsonWriter* json) {
  json->Open('{').Key("subject").Text(series.subject);
  if (!series.left_out.empty()) json->Key("left_out").Text(series.left_out);
  json->Key("validity").Text(Validity(series)).Key("rounds").Open('[');
  for (const Round& round : series.rounds) WriteRound(round, json);
  json->Close().Key("summary").Open('{');
  std::vector<std::string> names;
  for (const Round& round : series.rounds) {
    for (const auto& [name, value] : round.values()) {
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
  }
  for (const std::string& name : names) {
    const auto summary = SummaryOf(series, name);
    if (!summary.has_value()) continue;
    json->Key(name);
    WriteSummary(*summary, json);
  }
  json->Close().Close();
}

void WriteCell(const Cell& cell, JsonWriter* json) {
  json->Open('{').Key("case").Text(cell.case_name).Key("title").Text(cell.title).Key("parameters").Open('{');
  for (const auto& [name, value] : cell.parameters) json->Key(name).Number(value);
  json->Close().Key("series").Open('[');
  for (const Series& series : cell.series) WriteSeries(series, json);
  json->Close().Key("ratios").Open('[');
  for (const auto& [series, reference] : Comparisons(cell)) {
    for (const Metric& metric : kMetrics) {
      const auto ratio = RatioOf(*series, *reference, metric.name);
      if (metric.shown != Shown::kWithRatio || !ratio.has_value()) continue;
      json->Open('{').Key("of").Text(series->subject).Key("to").Text(reference->subject).Key("metric");
      json->Text(metric.name).Key("ratio");
      WriteSummary(*ratio, json);
      json->Close();
    }
  }
  json->Close().Key("table").Text(CellTable(cell)).Close();
}

void WriteJudgement(const Judgement& judgement, JsonWriter* json) {
  const Target& target = *judgement.target;
  json->Open('{').Key("work").Text(target.work).Key("case").Text(target.case_name).Key("metric").Text(target.metric);
  json->Key("reference").Text(target.reference).Key("target").Text(BoundText(target)).Key("measured");
  if (judgement.measured.has_value()) {
    WriteSummary(*judgement.measured, json);
  } else {
    json->Open('{').Close();
  }
  json->Key("verdict").Text(VerdictText(judgement.verdict)).Close();
}

}  // namespace

std::string HostText(const Report& report) {
  std::string text = absl::StrFormat(
      "mcgw %s; gRPC %s; %s; kernel %s; %s, %d cores; server on core %d, sender and readers on core %d;"
      " nice %d; %s, %d rounds",
      report.mcgw_version, report.grpc_version, report.host.system, report.host.kernel, report.host.processor,
      report.host.cores, report.server_core, report.client_core, report.priority, report.mode, report.rounds);
  if (!report.nats_version.empty()) absl::StrAppend(&text, "; ", report.nats_version);
  if (!report.zmq_version.empty()) absl::StrAppend(&text, "; ZeroMQ ", report.zmq_version);
  return absl::StrCat(text, "\n");
}

std::string CellTable(const Cell& cell) {
  const std::vector<Metric> columns = ColumnsOf(cell);
  std::vector<Row> rows(1, {""});
  for (const Metric& metric : columns) rows.front().emplace_back(metric.label);
  rows.front().emplace_back("valid rounds");
  for (const Series& series : cell.series) {
    Row row = {series.subject};
    for (const Metric& metric : columns) row.push_back(SummaryText(SummaryOf(series, metric.name)));
    row.push_back(Validity(series));
    rows.push_back(std::move(row));
  }
  for (const auto& [series, reference] : Comparisons(cell)) {
    Row row = {ComparisonName(*series, *reference)};
    for (const Metric& metric : columns) {
      row.push_back(metric.shown == Shown::kWithRatio ? SummaryText(RatioOf(*series, *reference, metric.name)) : "");
    }
    row.emplace_back("");
    rows.push_back(std::move(row));
  }
  return Format(rows);
}

std::string TargetTable(absl::Span<const Judgement> judgements) {
  std::vector<Row> rows = {{"work", "target", "measured", ""}};
  for (const Judgement& judgement : judgements) {
    rows.push_back({judgement.target->work, BoundText(*judgement.target), SummaryText(judgement.measured),
                    VerdictText(judgement.verdict)});
  }
  return Format(rows);
}

std::string ToJson(const Report& report, absl::Span<const Judgement> judgements) {
  JsonWriter json;
  json.Open('{').Key("mode").Text(report.mode).Key("seconds").Number(report.seconds);
  json.Key("mcgw").Text(report.mcgw_version).Key("grpc").Text(report.grpc_version);
  json.Key("nats").Text(report.nats_version).Key("zmq").Text(report.zmq_version);
  json.Key("system").Text(report.host.system).Key("kernel").Text(report.host.kernel);
  json.Key("processor").Text(report.host.processor).Key("cores").Number(report.host.cores);
  json.Key("server_core").Number(report.server_core).Key("client_core").Number(report.client_core);
  json.Key("nice").Number(report.priority).Key("rounds").Number(report.rounds);
  json.Key("machine").Text(HostText(report)).Key("notes").Open('[');
  for (const std::string& note : report.notes) json.Text(note);
  json.Close().Key("cells").Open('[');
  for (const Cell& cell : report.cells) WriteCell(cell, &json);
  json.Close().Key("targets").Open('[');
  for (const Judgement& judgement : judgements) WriteJudgement(judgement, &json);
  json.Close().Close();
  return json.text();
}

}  // namespace mcgw::bench
