# Certificates for trying TLS. Sourced by dev.

help_certs() {
  cat <<'END'
Usage: ./dev certs DIR [--server NAME]... [--client NAME]... [--days N]

Makes certificates for trying TLS in DIR: a small CA (ca.crt), a server's (server.crt, server.key) and a client's
(client.crt, client.key). With the CA of an earlier call it makes new certificates, which the gateway takes while it
runs. The keys have no password, and whoever has ca.key can make a certificate for anyone: not for production.

  --server NAME  a DNS name or IP address by which clients reach the gateway, beside localhost, 127.0.0.1, ::1 and this
                 host's name
  --client NAME  the client's name, a URI such as spiffe://example/reader (the default is spiffe://mcgw.example/client).
                 More than one: also client-2.crt, client-3.crt and so on
  --days N       how long the server's and the clients' are valid; default: 365
END
}

# A certificate of the CA in $1: make_certificate DIR FILE SUBJECT ALTERNATIVE_NAMES USAGE DAYS
make_certificate() {
  local dir=$1 file=$2 subject=$3 names=$4 usage=$5 days=$6
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$subject" -keyout "$dir/$file.key.new" \
    -out "$dir/$file.csr" 2>"$dir/openssl.log" || die "openssl req: $(tail -1 "$dir/openssl.log")"
  printf '%s\n' "subjectAltName=$names" "extendedKeyUsage=$usage" "basicConstraints=critical,CA:FALSE" \
    "keyUsage=critical,digitalSignature" "authorityKeyIdentifier=keyid" >"$dir/$file.ext"
  openssl x509 -req -in "$dir/$file.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -days "$days" -sha256 \
    -set_serial "0x$(openssl rand -hex 16)" -extfile "$dir/$file.ext" -out "$dir/$file.crt.new" 2>"$dir/openssl.log" ||
    die "openssl x509: $(tail -1 "$dir/openssl.log")"
  # A gateway that watches them never sees a part of one.
  mv "$dir/$file.key.new" "$dir/$file.key"
  chmod 644 "$dir/$file.crt.new"
  mv "$dir/$file.crt.new" "$dir/$file.crt"
  rm -f "$dir/$file.csr" "$dir/$file.ext" "$dir/openssl.log"
}

cmd_certs() {
  local dir='' days=365 name number=1
  local servers=("DNS:localhost" "IP:127.0.0.1" "IP:::1" "DNS:$(hostname)") clients=()
  while [ $# -gt 0 ]; do
    case $1 in
      --server | --client | --days)
        [ -n "${2-}" ] || die "certs: $1 needs a value"
        case $1 in
          --server) if [[ $2 =~ ^[0-9.]+$ || $2 == *:* ]]; then servers+=("IP:$2"); else servers+=("DNS:$2"); fi ;;
          --client) [[ $2 == *:* ]] && clients+=("$2") || die "certs: --client '$2' is not a URI, such as spiffe://example/reader" ;;
          --days) [[ $2 =~ ^[0-9]+$ ]] && days=$2 || die "certs: --days '$2' is not a number" ;;
        esac
        shift 2
        ;;
      -*) die "certs: no such option: $1 (./dev certs --help)" ;;
      *)
        [ -z "$dir" ] || die "certs: give one directory"
        dir=$1
        shift
        ;;
    esac
  done
  [ -n "$dir" ] || die "certs: give a directory for the certificates (./dev certs --help)"
  command -v openssl >/dev/null || die "certs: there is no openssl: apt-get install openssl"
  [ ${#clients[@]} -gt 0 ] || clients=("spiffe://mcgw.example/client")
  mkdir -p "$dir"
  (
    umask 077
    if [ ! -e "$dir/ca.key" ]; then
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -sha256 -subj "/CN=mcgw trial CA" \
        -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -keyout "$dir/ca.key" -out "$dir/ca.crt" 2>"$dir/openssl.log" || die "openssl: $(tail -1 "$dir/openssl.log")"
      chmod 644 "$dir/ca.crt"
    fi
    make_certificate "$dir" server "mcgw trial server" "$(IFS=,; echo "${servers[*]}")" serverAuth "$days"
    for name in "${clients[@]}"; do
      if [ "$number" = 1 ]; then file=client; else file=client-$number; fi
      make_certificate "$dir" "$file" "mcgw trial client" "URI:$name" clientAuth "$days"
      number=$((number + 1))
    done
  )
  dir=$(cd "$dir" && pwd)
  cat <<END
The gateway:  mcgwd --listen '0.0.0.0:50051 certificate=$dir/server.crt key=$dir/server.key client_ca=$dir/ca.crt'
A client:     mcgw --gateway HOST:50051 --tls-ca $dir/ca.crt --tls-cert $dir/client.crt --tls-key $dir/client.key interfaces
END
}
