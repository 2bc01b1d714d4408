// SPDX-License-Identifier: Apache-2.0
// Flags of `tern serve` about sockets that take logs.

import ArgumentParser
import Server

struct LogDoorFlags: ParsableArguments {
    @Option(
        name: .customLong("syslog.udp-listen-address"),
        help: "HOST:PORT for syslog over UDP, or off (off).")
    var syslogUDP: String?
    @Option(
        name: .customLong("syslog.tcp-listen-address"),
        help: "HOST:PORT for syslog over TCP, or off (off).")
    var syslogTCP: String?
    @Option(
        name: .customLong("syslog.tls-listen-address"),
        help: "HOST:PORT for syslog over TLS, or off (off).")
    var syslogTLS: String?
    @Option(
        name: .customLong("syslog.tls-cert-file"),
        help: "PEM file of the certificate for syslog over TLS, with its chain.")
    var tlsCertificate: String?
    @Option(
        name: .customLong("syslog.tls-key-file"), help: "PEM file of the key of that certificate.")
    var tlsKey: String?
    @Option(
        name: .customLong("syslog.tls-client-ca-file"),
        help: "PEM file of the authorities whose clients may connect (any client).")
    var tlsClientAuthority: String?
    @Option(
        name: .customLong("fluent.listen-address"),
        help: "HOST:PORT for Fluentd's forward protocol over TCP, or off (off).")
    var fluent: String?
    @Option(
        name: .customLong("fluent.shared-key-file"),
        help: "File with the key that senders of the forward protocol must know (none).")
    var fluentSharedKey: String?

    func options() throws -> LogDoorOptions {
        var options = LogDoorOptions()
        func address(_ given: String?, _ flag: String) throws -> ListenAddress? {
            guard let text = flagValue(given, flag), text != "off" else { return nil }
            guard let address = ListenAddress(text) else {
                throw ValidationError("--\(flag) takes HOST:PORT, not \(text)")
            }
            return address
        }
        options.syslogUDP = try address(syslogUDP, "syslog.udp-listen-address")
        options.syslogTCP = try address(syslogTCP, "syslog.tcp-listen-address")
        options.syslogTLS = try address(syslogTLS, "syslog.tls-listen-address")
        options.tlsCertificateFile = flagValue(tlsCertificate, "syslog.tls-cert-file")
        options.tlsKeyFile = flagValue(tlsKey, "syslog.tls-key-file")
        options.tlsClientAuthorityFile = flagValue(tlsClientAuthority, "syslog.tls-client-ca-file")
        options.fluent = try address(fluent, "fluent.listen-address")
        options.fluentSharedKeyFile = flagValue(fluentSharedKey, "fluent.shared-key-file")
        return options
    }
}
