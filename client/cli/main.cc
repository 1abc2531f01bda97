#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <optional>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/contexts.h"
#include "client/cli/exit_code.h"
#include "client/cli/printable.h"

namespace mcgw::cli {
namespace {

constexpr char kMainDescription[] =
    "Receives and sends IP multicast through a gateway (mcgwd), over gRPC.\n"
    "Data goes to standard output, messages to standard error.";

constexpr char kMainFooter[] = R"(A CHANNEL is written [SOURCE@]GROUP:PORT[%INTERFACE]:
  239.1.1.1:5000                 a group on the gateway's default interface
  239.1.1.1:5000%eth0            on one interface, by name or address; %* means all interfaces
  10.0.0.2@232.1.1.1:5004        from one source; separate several with commas
  [ff15::1]:5000%eth0            write IPv6 groups in brackets

Exit codes:
  0    done; also if the reader of standard output has gone
  1    the gateway refused or failed, or a file could not be read or written
  2    wrong usage, or invalid input
  3    no gateway answers, or the connection to it broke
  4    sub: ended before --count datagrams came
  5    pub: some datagrams were sent, others not
  6    ping: no answer
  7    doctor: an error was found
  130  stopped by Ctrl-C before --count or the end of the input; 143 by SIGTERM

Examples:
  mcgw sub 239.1.1.1:5000%eth0
  echo hello | mcgw pub 239.1.1.1:5000%eth0
  mcgw --gateway unix:/run/mcgw/mcgw.sock interfaces

`mcgw COMMAND --help` describes a command.)";

// The command that the command line names, or mcgw itself.
std::string HelpCommand(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  return commands.empty() ? "mcgw --help" : "mcgw " + commands.front()->get_name() + " --help";
}

// Opens those of descriptors 0 to 2 that the parent closed, so that the connection to the gateway cannot get the number
// that datagrams are printed to. Reading from 0 and writing to 1 and 2 then fail.
void OpenStandardDescriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) _exit(kFailed);
  }
}

// What is wrong with the value of an option or a variable, if anything. An empty one comes from an unset variable in a
// script: the default in its place could mean another gateway, session or interface than the user intended. The API
// carries UTF-8 only; names of files are the kernel's and may have any bytes.
std::optional<std::string> FindBadValue(const CLI::App& app) {
  constexpr char kEmpty[] = " has an empty value: give one, or omit it to use the default";
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& value : option->results()) {
      if (value.empty()) return option->get_name() + kEmpty;
      if (!IsUtf8(value) && option->get_type_name() != "FILE") {
        return option->get_name() + " '" + value + "' is not UTF-8";
      }
    }
    const std::string variable = option->get_envname();
    const char* const text = variable.empty() ? nullptr : getenv(variable.c_str());
    if (option->count() == 0 && text != nullptr && *text == '\0') return variable + kEmpty;
  }
  for (const CLI::App* command : app.get_subcommands()) {
    if (std::optional<std::string> found = FindBadValue(*command); found.has_value()) return found;
  }
  return std::nullopt;
}

// Which gateway, and how to reach it: by a flag, else a variable, else the context.
class GatewayFlags {
 public:
  void Add(CLI::App* app) {
    app->add_option("--gateway", address_,
                    absl::StrCat("The gateway: HOST:PORT, [IPV6]:PORT or unix:PATH; default: the context's, or ",
                                 client::kDefaultGatewayAddress))
        ->envname("MCGW_GATEWAY")
        ->type_name("ADDRESS");
    app->add_option("--context", context_, "Context of ~/.config/mcgw/config.yaml; default: the one named there")
        ->envname("MCGW_CONTEXT")
        ->type_name("NAME");
    app->add_flag("--tls", flags_.tls, "Speak TLS, and trust the CAs of this host. The flags below imply it");
    app->add_option("--tls-ca", flags_.tls_ca, "CA of the gateway's certificate (PEM)")->type_name("FILE");
    app->add_option("--tls-cert", flags_.tls_cert, "Certificate to show to the gateway (PEM)")->type_name("FILE");
    app->add_option("--tls-key", flags_.tls_key, "Its key (PEM)")->type_name("FILE");
    app->add_option("--server-name", flags_.server_name,
                    "Name that the gateway's certificate must have; default: the host of its address")
        ->type_name("NAME");
  }

  absl::Status Apply(GlobalOptions* global) const {
    // What names a gateway wants no context, unless it names one too.
    const bool names_gateway = !address_.empty();
    Context context;
    if (!names_gateway || !context_.empty()) {
      const auto read = ReadContext(ContextsFile(), context_);
      if (!read.ok()) return read.status();
      context = read->value_or(Context());
    }
    if (names_gateway) context.gateway = address_;
    if (!context.gateway.empty()) global->gateway = context.gateway;
    client::TlsOptions tls;
    tls.ca_file = flags_.tls_ca.empty() ? context.tls_ca : flags_.tls_ca;
    tls.certificate_file = flags_.tls_cert.empty() ? context.tls_cert : flags_.tls_cert;
    tls.key_file = flags_.tls_key.empty() ? context.tls_key : flags_.tls_key;
    tls.server_name = flags_.server_name.empty() ? context.server_name : flags_.server_name;
    const bool wanted = flags_.tls || context.tls || !tls.ca_file.empty() || !tls.certificate_file.empty() ||
                        !tls.key_file.empty() || !tls.server_name.empty();
    if (wanted) global->connect.tls = tls;
    return absl::OkStatus();
  }

 private:
  std::string address_;
  std::string context_;
  Context flags_;
};

// Runs before the constructors of libraries, some of which open descriptors.
__attribute__((section(".preinit_array"), used)) void (*const before_all)() = OpenStandardDescriptors;

int Main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  // mcgw reports failures; gRPC's log would only repeat them.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);

  GlobalOptions global;
  Run run;
  CLI::App app(kMainDescription, "mcgw");
  app.footer(kMainFooter);
  app.fallthrough();
  app.require_subcommand(0, 1);
  app.set_version_flag("--version", "mcgw " MCGW_VERSION, "Print the version and exit");
  GatewayFlags flags;
  flags.Add(&app);
  AddSub(&app, &global, &run);
  AddPub(&app, &global, &run);
  AddJoin(&app, &global, &run);
  AddLeave(&app, &global, &run);
  AddInterfaces(&app, &global, &run);
  AddChannels(&app, &global, &run);
  AddDescribe(&app, &global, &run);
  AddPing(&app, &global, &run);
  AddPong(&app, &global, &run);
  AddDoctor(&app, &global, &run);
  AddLedger(&app, &global, &run);
  AddSubscribers(&app, &global, &run);
  AddHealth(&app, &global, &run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    std::ostringstream text;
    const int code = app.exit(asked, text, text);
    const int printed = Print(text.str());
    return printed != kDone ? printed : code;
  } catch (const CLI::ParseError& error) {
    Note(error.what());
    Note("see `" + HelpCommand(app) + "`");
    return kBadInput;
  }
  if (const std::optional<std::string> bad = FindBadValue(app); bad.has_value()) {
    Note(*bad);
    return kBadInput;
  }
  if (!run) {
    Note("no command given\n" + app.help());
    return kBadInput;
  }
  if (const absl::Status status = flags.Apply(&global); !status.ok()) return Fail(status);
  return run();
}

}  // namespace
}  // namespace mcgw::cli

int main(int argc, char** argv) { return mcgw::cli::Main(argc, argv); }
