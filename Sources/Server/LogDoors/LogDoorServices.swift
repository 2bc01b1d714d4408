// SPDX-License-Identifier: Apache-2.0
// What runs besides the HTTP listeners for logs.

import Base
import Logging
import NIOSSL
import ServiceLifecycle

/// A flag that cannot be followed.
struct LogDoorError: Error, CustomStringConvertible {
    var description: String
}

/// The services that the options ask for.
///
/// - Parameter announce: told what listens where.
/// - Throws: `LogDoorError` when a file cannot be used.
func logDoorServices(
    _ options: LogDoorOptions, _ startup: Startup, _ clock: any Clock, _ logger: Logger,
    random: any RandomSource = SystemRandom(),
    announce: @escaping @Sendable (String, Int, String) -> Void
) throws -> [any Service] {
    let writer = PatientLogWriter(startup: startup, clock: clock, logger: logger)
    let sink = SyslogSink(writer: writer)
    var services: [any Service] = []
    func listen(
        _ address: ListenAddress, _ name: String, tls: NIOSSLContext? = nil,
        _ converse: @escaping @Sendable () -> any StreamConversation
    ) {
        services.append(
            StreamListener(
                address: address, name: name, tls: tls, logger: logger,
                counters: startup.logDoors.listeners,
                onRunning: { announce(address.host, $0, name) },
                converse: converse))
    }
    if let address = options.syslogUDP {
        services.append(
            DatagramListener(
                address: address, clock: clock, counters: startup.logDoors.listeners,
                onRunning: { announce(address.host, $0, "syslog-udp") }
            ) { try await sink.write($0) })
    }
    if let address = options.syslogTCP {
        listen(address, "syslog-tcp") { SyslogConversation(sink) }
    }
    if let address = options.syslogTLS {
        listen(address, "syslog-tls", tls: try options.tlsContext()) { SyslogConversation(sink) }
    }
    if let address = options.fluent {
        let key = try options.sharedKey()
        listen(address, "fluent") {
            FluentConversation(writer, sharedKey: key, random: random)
        }
    }
    return services
}

extension LogDoorOptions {
    /// The key without white space around it.
    fileprivate func sharedKey() throws -> [UInt8]? {
        guard let file = fluentSharedKeyFile else { return nil }
        let key = try fileText(file).split(whereSeparator: \.isWhitespace)
        guard key.count == 1, let key = key.first else {
            throw LogDoorError(
                description: "--fluent.shared-key-file \(file): holds no key, or several words")
        }
        return Array(key.utf8)
    }

    fileprivate func tlsContext() throws -> NIOSSLContext {
        guard let certificate = tlsCertificateFile, let key = tlsKeyFile else {
            throw LogDoorError(
                description: "--syslog.tls-listen-address needs --syslog.tls-cert-file and "
                    + "--syslog.tls-key-file")
        }
        func reading<R>(_ flag: String, _ path: String, _ read: ([UInt8]) throws -> R) throws -> R {
            let text = try fileText(path)
            do { return try read(Array(text.utf8)) } catch {
                throw LogDoorError(description: "--syslog.\(flag) \(path): no PEM: \(error)")
            }
        }
        let chain = try reading("tls-cert-file", certificate) {
            try NIOSSLCertificate.fromPEMBytes($0)
        }
        let privateKey = try reading("tls-key-file", key) {
            try NIOSSLPrivateKey(bytes: $0, format: .pem)
        }
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(privateKey))
        tls.minimumTLSVersion = .tlsv12
        if let file = tlsClientAuthorityFile {
            let authorities = try reading("tls-client-ca-file", file) {
                try NIOSSLCertificate.fromPEMBytes($0)
            }
            tls.trustRoots = .certificates(authorities)
            // A client has no name that its certificate could be checked against.
            tls.certificateVerification = .noHostnameVerification
        }
        do { return try NIOSSLContext(configuration: tls) } catch {
            throw LogDoorError(
                description: "--syslog.tls-cert-file \(certificate) and --syslog.tls-key-file "
                    + "\(key) do not go together: \(error)")
        }
    }
}
