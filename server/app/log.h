// The daemon's log: lines on stderr that no thread ever waits for. It includes the messages of gRPC, protobuf and
// Abseil.

#ifndef MCGW_APP_LOG_H_
#define MCGW_APP_LOG_H_

#include <string_view>

#include "server/app/config.h"

namespace mcgw::app {

// Makes spdlog write to stderr through a LogWriter. Call once, before the first line.
void StartLog(const Config& config);
// `level` is a value of --log-level.
void SetLogLevel(std::string_view level);
// Logs a line at every log level.
void LogAlways(std::string_view text);
// Waits until everything is written, for at most a second, since stderr may have no reader.
void FlushLog();

}  // namespace mcgw::app

#endif  // MCGW_APP_LOG_H_
