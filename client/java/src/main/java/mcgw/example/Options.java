package mcgw.example;

import multicast.gateway.v1.Membership;
import multicast.gateway.v1.SourceFilter;
import multicast.gateway.v1.SourceFilterMode;

/** The command line of {@link Example}. */
record Options(String gateway, Membership membership, boolean session, String text, long count) {

  static final String USAGE =
      """
      Usage: mcgw-example [OPTION...] GROUP PORT

      Receives from and sends to a multicast group through a gateway. Prints every event and every datagram on its own
      line, until Ctrl-C.

        --gateway ADDRESS   the gateway: HOST:PORT or unix:/PATH (default: MCGW_GATEWAY,
                            else 127.0.0.1:50051)
        --interface NAME    the gateway's interface (default: the gateway chooses)
        --source ADDRESS    receive from this source only
        --session           join in a session, which outlives a broken stream
        --send TEXT         send this text to the group once subscribed
        --count N           end after N datagrams (default: at Ctrl-C)
      """;

  /** Throws IllegalArgumentException if the command line does not match {@link #USAGE}. */
  static Options parse(String[] arguments) {
    String gateway = System.getenv().getOrDefault("MCGW_GATEWAY", "127.0.0.1:50051");
    boolean session = false;
    String text = null;
    long count = 0;
    Membership.Builder membership = Membership.newBuilder();
    int at = 0;
    try {
      for (; at < arguments.length && arguments[at].startsWith("--"); at++) {
        switch (arguments[at]) {
          case "--gateway" -> gateway = arguments[++at];
          case "--interface" -> membership.setInterface(arguments[++at]);
          case "--source" ->
              membership.setSourceFilter(
                  SourceFilter.newBuilder()
                      .setMode(SourceFilterMode.SOURCE_FILTER_MODE_INCLUDE)
                      .addSources(arguments[++at]));
          case "--session" -> session = true;
          case "--send" -> text = arguments[++at];
          case "--count" -> count = Long.parseLong(arguments[++at]);
          default -> throw new IllegalArgumentException("no such option: " + arguments[at]);
        }
      }
      membership.setGroup(arguments[at++]).setPort(Integer.parseUnsignedInt(arguments[at++]));
    } catch (ArrayIndexOutOfBoundsException e) {
      throw new IllegalArgumentException("an argument is missing", e);
    }
    if (at != arguments.length) {
      throw new IllegalArgumentException("too many arguments");
    }
    return new Options(gateway, membership.build(), session, text, count);
  }
}
