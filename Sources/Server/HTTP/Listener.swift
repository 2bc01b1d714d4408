// SPDX-License-Identifier: Apache-2.0
// One listening address.

import Glibc
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import ServiceLifecycle

/// An address that cannot be listened on.
struct ListenError: Error, CustomStringConvertible {
    var address: ListenAddress
    var reason: String

    var description: String {
        "cannot listen on \(address): \(reason). Stop who listens there, or choose another address"
    }

    init(_ host: String, _ port: Int, _ error: any Error) {
        address = ListenAddress(host: host, port: port)
        reason = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
    }
}

/// Serves one HTTP address.
struct HTTPListener: Service {
    let host: String
    /// 0 picks a free one.
    let port: Int
    let endpoint: HTTPEndpoint
    let limits: ConnectionLimits
    let logger: Logger
    /// Told the port once the address is bound.
    let onRunning: @Sendable (Int) -> Void

    func run() async throws {
        let (limits, port, onRunning) = (self.limits, self.port, self.onRunning)
        let endpoint = self.endpoint
        let application = Application(
            responder: endpoint,
            server: HTTPServerBuilder {
                HTTPConnection(limits: limits, endpoint: endpoint, responder: $0)
            },
            configuration: .init(
                address: .hostname(host, port: port), serverName: "tern", backlog: 4096),
            onServerRunning: { onRunning($0.localAddress?.port ?? port) },
            logger: logger)
        do {
            try await application.run()
        } catch let error where !(error is CancellationError) {
            throw ListenError(host, port, error)
        }
    }
}
