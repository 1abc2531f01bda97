#include "server/app/log.h"

#include <unistd.h>

#include <memory>
#include <string>

#include "google/protobuf/stubs/common.h"
#include "grpcpp/version_info.h"
#include "server/app/log_writer.h"
#include "server/app/process.h"
#include "server/net/text.h"
#include "spdlog/sinks/sink.h"
#include "spdlog/spdlog.h"

// gRPC up to 1.65 and protobuf up to 3.21 have their own logs; later versions use Abseil's.
#if GRPC_CPP_VERSION_MAJOR == 1 && GRPC_CPP_VERSION_MINOR < 66
#define MCGW_GRPC_HAS_OWN_LOG
#include "grpc/support/log.h"
#endif
#if GOOGLE_PROTOBUF_VERSION < 4000000
#define MCGW_PROTOBUF_HAS_OWN_LOG
#include "google/protobuf/stubs/logging.h"
#endif
#if !defined(MCGW_GRPC_HAS_OWN_LOG) || !defined(MCGW_PROTOBUF_HAS_OWN_LOG)
#define MCGW_ABSEIL_LOGS
#include "absl/log/globals.h"
#include "absl/log/log_entry.h"
#include "absl/log/log_sink.h"
#include "absl/log/log_sink_registry.h"
#endif

namespace mcgw::app {
namespace {

constexpr absl::Duration kFlushPatience = absl::Seconds(1);

// Never destroyed: threads may log until the process ends.
LogWriter* writer = nullptr;

class WriterSink final : public spdlog::sinks::sink {
 public:
  void log(const spdlog::details::log_msg& line) override {
    writer->Write(line.level, std::string_view(line.payload.data(), line.payload.size()));
  }
  void flush() override {}
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}
};

#ifdef MCGW_GRPC_HAS_OWN_LOG
void LogOfGrpc(gpr_log_func_args* line) {
  // gRPC aborts next, before the queue could be written.
  if (std::string_view(line->message).starts_with("assertion failed")) Complain(line->message);
  const spdlog::level::level_enum level = line->severity == GPR_LOG_SEVERITY_ERROR  ? spdlog::level::err
                                          : line->severity == GPR_LOG_SEVERITY_INFO ? spdlog::level::info
                                                                                    : spdlog::level::debug;
  spdlog::log(level, "gRPC: {}", line->message);
}
#endif

#ifdef MCGW_PROTOBUF_HAS_OWN_LOG
void LogOfProtobuf(google::protobuf::LogLevel level, const char*, int, const std::string& message) {
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::info, spdlog::level::warn, spdlog::level::err,
                                                   spdlog::level::critical};
  if (level == google::protobuf::LOGLEVEL_FATAL)
    Complain(message);  // An exception or the end of the process comes next.
  spdlog::log(kLevels[level], "protobuf: {}", message);
}
#endif

#ifdef MCGW_ABSEIL_LOGS
class AbseilSink final : public absl::LogSink {
 public:
  void Send(const absl::LogEntry& entry) override {
    const spdlog::level::level_enum level = entry.log_severity() == absl::LogSeverity::kInfo      ? spdlog::level::info
                                            : entry.log_severity() == absl::LogSeverity::kWarning ? spdlog::level::warn
                                                                                                  : spdlog::level::err;
    spdlog::log(level, "{}: {}", net::ToStd(entry.source_basename()), net::ToStd(entry.text_message()));
  }
};
#endif

void TakeLogsOfLibraries() {
#ifdef MCGW_GRPC_HAS_OWN_LOG
  gpr_set_log_function(LogOfGrpc);
#endif
#ifdef MCGW_PROTOBUF_HAS_OWN_LOG
  google::protobuf::SetLogHandler(LogOfProtobuf);
#endif
#ifdef MCGW_ABSEIL_LOGS
  static AbseilSink* const sink = new AbseilSink;
  absl::AddLogSink(sink);
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
#endif
}

}  // namespace

void StartLog(const Config& config) {
  writer = new LogWriter(STDERR_FILENO, config.log_format() == "json" ? LogFormat::kJson : LogFormat::kText);
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("mcgwd", std::make_shared<WriterSink>()));
  spdlog::set_error_handler([](const std::string& error) { writer->Write(spdlog::level::err, "log: " + error); });
  SetLogLevel(config.log_level());
  TakeLogsOfLibraries();
}

void SetLogLevel(std::string_view level) { spdlog::set_level(spdlog::level::from_str(std::string(level))); }

void LogAlways(std::string_view text) { writer->Write(spdlog::level::info, text); }

void FlushLog() { writer->Flush(kFlushPatience); }

}  // namespace mcgw::app
