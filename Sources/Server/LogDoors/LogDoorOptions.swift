// SPDX-License-Identifier: Apache-2.0
// Flags about sockets that take logs.

/// Flags of `tern serve`; an address that is nil is not listened on.
package struct LogDoorOptions: Sendable {
    package var syslogUDP: ListenAddress?
    package var syslogTCP: ListenAddress?
    package var syslogTLS: ListenAddress?
    /// PEM files of the certificate with its chain and of its key, for `syslogTLS`.
    package var tlsCertificateFile: String?
    package var tlsKeyFile: String?
    /// PEM file of the authorities whose clients may connect; nil = any client.
    package var tlsClientAuthorityFile: String?
    /// Fluentd's forward protocol.
    package var fluent: ListenAddress?
    /// File with the key that its senders must know; nil = none needed.
    package var fluentSharedKeyFile: String?

    package init() {}

    /// Every flag with its value, as `status/flags` lists them.
    var flags: [(name: String, value: String)] {
        [
            ("syslog.udp-listen-address", syslogUDP?.description ?? "off"),
            ("syslog.tcp-listen-address", syslogTCP?.description ?? "off"),
            ("syslog.tls-listen-address", syslogTLS?.description ?? "off"),
            ("syslog.tls-cert-file", tlsCertificateFile ?? ""),
            ("syslog.tls-key-file", tlsKeyFile ?? ""),
            ("syslog.tls-client-ca-file", tlsClientAuthorityFile ?? ""),
            ("fluent.listen-address", fluent?.description ?? "off"),
            ("fluent.shared-key-file", fluentSharedKeyFile ?? ""),
        ]
    }
}
