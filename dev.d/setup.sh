# shellcheck shell=bash
# The dependencies of this machine: ./dev setup. Sourced by dev.

# Packages of Debian 12, Debian 13 and Ubuntu 24.04, by their purpose.
packages_build=(cmake ninja-build g++ ccache pkgconf libgrpc++-dev protobuf-compiler protobuf-compiler-grpc
  libprotobuf-dev libabsl-dev libspdlog-dev libgtest-dev libgmock-dev libcli11-dev libyaml-cpp-dev libmnl-dev libnghttp2-dev libssl-dev
  libsystemd-dev iproute2 procps util-linux python3)
packages_demo=(socat)
packages_test=(tcpdump tshark socat smcroute ffmpeg multicat faketime nftables openssl python3-hpack python3-pytest python3-venv python3-yaml systemd)
packages_container=(podman buildah debootstrap runc netavark catatonit debian-archive-keyring)
packages_languages=(python3-venv)
packages_bench=(libzmq3-dev) # Optional references; nats-server is unpacked, see unpack_nats_server.
packages_fuzz=(clang libclang-rt-dev)
packages_lint=(clang clang-tidy clang-format libclang-rt-dev shellcheck)
buf_version=1.75.0
kubernetes_validate_version=1.37.0

tools=${XDG_CACHE_HOME:-$HOME/.cache}/mcgw/tools
buf=$tools/buf-$buf_version/node_modules/.bin/buf
nats=$tools/nats
packages_long=(strace valgrind)
# Unpacked, not installed, because pimd and igmpproxy would start as services.
packages_unpacked=(user-mode-linux igmpproxy pimd)
export MCGW_UNPACKED=$tools/long
export MCGW_KUBERNETES_VALIDATE=$tools/kubernetes-validate-$kubernetes_validate_version/bin/kubernetes-validate

help_setup() {
  cat <<'END'
Usage: ./dev setup [build] [demo] [test] [languages] [lint] [fuzz] [container] [long] [bench]

Installs the missing distribution packages of these groups (default: all except fuzz, container, long and
bench). Without
root, it asks before it calls sudo, unless CI=true or MCGW_INSTALL=yes. Tools go into
${XDG_CACHE_HOME:-~/.cache}/mcgw/tools.

  build, demo  packages only
  test         packages, and a checker of Kubernetes manifests
  languages    the toolchains of the clients in Go, Java and Python, unless others are on the PATH. A first build
               fetches their dependencies, in the versions of go.sum, pom.xml and requirements-dev.txt
  lint         packages, and the protobuf linter
  fuzz         packages: clang with its sanitizers and libFuzzer
  container    packages to build and run the container image
  long         packages for long tests; unpacks a second kernel, which runs as a process (user-mode-linux), and two
               routing daemons
  bench        other systems for ./dev bench, as available; nats-server is only unpacked, so that no service starts

It names and skips unavailable parts; with CI=true, except in bench, that is a failure. It prints nothing if nothing is
missing. The other commands call it for the groups that they need.
END
}

missing_packages() {
  local installed package
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p' || true)
  for package in "$@"; do
    grep -qxF -- "$package" <<<"$installed" || echo "$package"
  done
}

# Changes a person's machine only after a yes.
agree_to_install() {
  local command="sudo apt-get install --no-install-recommends $*" answer
  command -v sudo >/dev/null || die "run as root: apt-get install --no-install-recommends $*"
  if [[ ${CI-} == true || ${MCGW_INSTALL-} == yes ]]; then return; fi
  [[ -t 0 ]] || die "these packages are missing; run: $command (or set MCGW_INSTALL=yes)"
  echo "These packages are missing: $*" >&2
  read -r -p "Run '$command'? [Y/n] " answer
  [[ ${answer:-y} == [yY]* ]] || die "not installed"
}

install_packages() {
  local as_root=() known=() unknown=() package
  if [[ $EUID != 0 ]]; then
    agree_to_install "$@"
    as_root=(sudo)
  fi
  as_root+=(env DEBIAN_FRONTEND=noninteractive)
  say "installing $*"
  "${as_root[@]}" apt-get update -qq || say "apt-get update failed; using the existing package lists"
  for package in "$@"; do
    if apt-cache show --no-all-versions "$package" >/dev/null 2>&1; then
      known+=("$package")
    else
      unknown+=("$package")
    fi
  done
  if [[ ${#unknown[@]} != 0 ]]; then
    say "not in this distribution: ${unknown[*]}; whatever needs them is skipped or fails"
  fi
  if [[ ${#known[@]} != 0 ]]; then
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${known[@]}" </dev/null >/dev/null
  fi
}

install_buf() {
  say "installing buf $buf_version into $tools"
  mkdir -p "$tools"
  npm install --prefix "$tools/buf-$buf_version" --no-audit --no-fund --no-save --loglevel error \
    "@bufbuild/buf@$buf_version" </dev/null >&2
}

# Checks the manifests against the schemas of Kubernetes, which it includes.
install_kubernetes_validate() {
  local environment=${MCGW_KUBERNETES_VALIDATE%/bin/*}
  say "installing kubernetes-validate $kubernetes_validate_version into $tools"
  rm -rf "$environment"
  mkdir -p "$tools"
  if ! { /usr/bin/python3 -m venv "$environment" &&
    "$environment/bin/pip" install -q "kubernetes-validate==$kubernetes_validate_version" </dev/null >&2; }; then
    say "kubernetes-validate could not be installed; the check of the manifests is skipped"
  fi
}

# The toolchains of the clients in other languages, unless they are on the PATH.
packages_toolchains() {
  command -v go >/dev/null || echo golang-go
  command -v javac >/dev/null || echo default-jdk-headless
  command -v mvn >/dev/null || echo maven
}

# Building a client makes its build tool fetch its dependencies, once for each list of versions.
fetch_languages() {
  local lists fetched
  lists=(client/go/go.sum client/java/pom.xml client/python/requirements-dev.txt)
  fetched=${tools%/tools}/fetched-$(cat "${lists[@]}" | sha256sum | cut -c -12)
  if [[ -f $fetched ]]; then return; fi
  say "fetching the dependencies of the clients in Go, Java and Python"
  if client/build; then
    mkdir -p "${fetched%/*}"
    touch "$fetched"
  elif [[ ${CI-} == true ]]; then
    die "setup: a client could not be built"
  else
    say "a client could not be built; its tests will fail"
  fi
}

# Unpacked only: if installed, the package would start a server on all addresses.
unpack_nats_server() {
  say "unpacking nats-server into $nats"
  mkdir -p "$nats"
  if ! (cd "$nats" && apt-get download -qq nats-server >/dev/null 2>&1 && dpkg-deb -x nats-server_*.deb .); then
    say "nats-server is not available; skipped"
  fi
}

# Downloads each package separately, so that an unavailable one skips only its own tests.
setup_long() {
  local package
  for package in "${packages_unpacked[@]}"; do
    [[ ! -e $MCGW_UNPACKED/$package ]] || continue
    say "unpacking $package into $MCGW_UNPACKED"
    mkdir -p "$MCGW_UNPACKED/$package.part"
    if (cd "$MCGW_UNPACKED/$package.part" && apt-get download -qq "$package" >/dev/null 2>&1 &&
      dpkg-deb -x "$package"_*.deb . && rm "$package"_*.deb); then
      mv "$MCGW_UNPACKED/$package.part" "$MCGW_UNPACKED/$package"
    else
      rm -rf "$MCGW_UNPACKED/$package.part"
      say "$package is not available; whatever needs it is skipped"
    fi
  done
}

# The benchmark's optional parts.
setup_bench() {
  local missing
  mapfile -t missing < <(missing_packages "${packages_bench[@]}")
  if [[ ${#missing[@]} != 0 ]]; then
    (install_packages "${missing[@]}") || say "not installed: ${missing[*]}; whatever needs them is skipped"
  fi
  if [[ ! -x $nats/usr/sbin/nats-server && ! -x /usr/sbin/nats-server ]] && ! command -v nats-server >/dev/null; then
    unpack_nats_server
  fi
}

cmd_setup() {
  local groups=("$@") group wanted=() missing
  [[ $# != 0 ]] || groups=(build demo test languages lint)
  if ! command -v dpkg-query >/dev/null; then
    say "not a Debian or Ubuntu system: nothing is installed; dev.d/setup.sh lists the packages at its top"
    return
  fi
  for group in "${groups[@]}"; do
    case $group in
      build) wanted+=("${packages_build[@]}") ;;
      demo) wanted+=("${packages_demo[@]}") ;;
      test) wanted+=("${packages_test[@]}") ;;
      languages)
        mapfile -t missing < <(packages_toolchains)
        wanted+=("${packages_languages[@]}" "${missing[@]}")
        ;;
      container) wanted+=("${packages_container[@]}") ;;
      long) wanted+=("${packages_long[@]}") ;; # And setup_long unpacks others.
      bench) ;; # setup_bench installs these; all are optional.
      fuzz) wanted+=("${packages_fuzz[@]}") ;;
      lint)
        wanted+=("${packages_lint[@]}")
        command -v npm >/dev/null || wanted+=(npm)
        ;;
      *) die "no such group: $group (build, demo, test, languages, lint, fuzz, container, long, bench)" ;;
    esac
  done
  missing=()
  if [[ ${#wanted[@]} != 0 ]]; then mapfile -t missing < <(missing_packages "${wanted[@]}" | sort -u); fi
  if [[ ${#missing[@]} != 0 ]]; then install_packages "${missing[@]}"; fi
  if [[ " ${groups[*]} " == *" lint "* && ! -x $buf ]]; then install_buf; fi
  if [[ " ${groups[*]} " == *" test "* && ! -x $MCGW_KUBERNETES_VALIDATE ]]; then install_kubernetes_validate; fi
  if [[ " ${groups[*]} " == *" languages "* ]]; then fetch_languages; fi
  if [[ " ${groups[*]} " == *" long "* ]]; then setup_long; fi
  if [[ " ${groups[*]} " == *" bench "* ]]; then setup_bench; fi
}
