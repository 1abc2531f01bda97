// The log of the daemon: lines on stderr, which no thread ever waits for. What gRPC, protobuf and Abseil have to say
// goes the same way.

#ifndef MCGW_APP_LOG_H_
#define MCGW_APP_LOG_H_

#include <string_view>

#include "server/app/config.h"

namespace mcgw::app {

// Makes spdlog's functions write to stderr by a LogWriter. Once, before the first line.
void StartLog(const Config& config);
// As --log-level has it.
void SetLogLevel(std::string_view level);
// A line that is written at every log level.
void LogAlways(std::string_view text);
// Waits until all is written; for a second at most, since nobody may be reading.
void FlushLog();

}  // namespace mcgw::app

#endif  // MCGW_APP_LOG_H_
