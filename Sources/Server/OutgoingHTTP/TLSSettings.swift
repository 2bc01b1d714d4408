// SPDX-License-Identifier: Apache-2.0
// `tls_config` of an outgoing request.

import NIOSSL

/// Source: prometheus/common `config/http_config.go`, `TLSConfig`.
package struct TLSSettings: Hashable, Sendable {
    package enum Version: String, Hashable, Sendable, CaseIterable {
        case tls10 = "TLS10"
        case tls11 = "TLS11"
        case tls12 = "TLS12"
        case tls13 = "TLS13"

        var library: TLSVersion {
            switch self {
            case .tls10: .tlsv1
            case .tls11: .tlsv11
            case .tls12: .tlsv12
            case .tls13: .tlsv13
            }
        }
    }

    /// Certificates of the authorities to trust, PEM; nil = the system's.
    package var authorities: TextSource?
    /// Client certificate with its chain, PEM.
    package var certificate: TextSource?
    package var key: TextSource?
    /// Name to ask for and to check the server's certificate against; empty = the URL's host.
    package var serverName = ""
    package var insecureSkipVerify = false
    package var minimum: Version?
    package var maximum: Version?

    package init() {}

    func resolved(in directory: String) -> TLSSettings {
        var copy = self
        copy.authorities = authorities?.resolved(in: directory)
        copy.certificate = certificate?.resolved(in: directory)
        copy.key = key?.resolved(in: directory)
        return copy
    }
}

/// The texts of a `TLSSettings` as they stood when they were read. Connections are shared while
/// they stay the same.
struct TLSMaterial: Hashable, Sendable {
    var authorities: String?
    var certificate: String?
    var key: Secret?
    var insecureSkipVerify: Bool
    var minimum: TLSSettings.Version
    var maximum: TLSSettings.Version?

    init(_ settings: TLSSettings) throws(OutgoingError) {
        authorities = try settings.authorities?.text()
        certificate = try settings.certificate?.text()
        key = try settings.key.map { source throws(OutgoingError) in Secret(try source.text()) }
        insecureSkipVerify = settings.insecureSkipVerify
        // The default of Go's TLS, as upstream has it.
        minimum = settings.minimum ?? min(.tls12, settings.maximum ?? .tls12)
        maximum = settings.maximum
    }

    /// - Throws: `OutgoingError.failed` naming the part that is no PEM.
    func configuration() throws(OutgoingError) -> TLSConfiguration {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = minimum.library
        tls.maximumTLSVersion = maximum?.library
        if insecureSkipVerify { tls.certificateVerification = .none }
        if let authorities {
            tls.trustRoots = .certificates(try certificates(authorities, "CA certificate"))
        }
        if let certificate {
            tls.certificateChain = try certificates(certificate, "client certificate")
                .map { .certificate($0) }
        }
        if let key {
            do {
                tls.privateKey = .privateKey(
                    try NIOSSLPrivateKey(bytes: Array(key.value.utf8), format: .pem))
            } catch { throw .failed("unable to use the client key: it is no unencrypted PEM key") }
        }
        return tls
    }

    private func certificates(
        _ text: String, _ what: String
    ) throws(OutgoingError) -> [NIOSSLCertificate] {
        do {
            let list = try NIOSSLCertificate.fromPEMBytes(Array(text.utf8))
            if !list.isEmpty { return list }
        } catch { throw .failed("unable to use the \(what): \(error)") }
        throw .failed("unable to use the \(what): it holds no PEM certificate")
    }
}

extension TLSSettings.Version: Comparable {
    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}
