// SPDX-License-Identifier: Apache-2.0
// GET /loki/api/v1/tail.

import Base
import HTTPTypes
import Ingest
import Telemetry

/// Live tails of log queries over WebSocket.
struct TailEndpoint: Sendable {
    /// Times in seconds.
    struct Limits: Sendable {
        /// Between two pings.
        var pingSeconds = 1.0
        /// A reader from whom nothing has come for so long, not even the answer to a ping, is gone.
        var silenceSeconds = 60.0
    }
    let logs: LokiQueryEndpoints
    let feed: TailFeed
    /// Where queries are run over what arrives.
    let pool: WorkerPool
    var limits = Limits()

    static let paths = ["/loki/api/v1/tail", "/api/prom/tail"]

    func routes() -> [Route] {
        Self.paths.map { Route([.get], $0, .loki, refusal).ofSeveralTenants() }
    }

    func sockets() -> [SocketRoute] {
        Self.paths.map { path in
            SocketRoute(path: path, takesTenants: true) { request in
                // What is wrong with it the route says.
                guard let wanted = try? admitted(request) else { return nil }
                return SocketCall { socket in
                    await TailSession(endpoint: self, request: wanted).run(socket)
                }
            }
        }
    }

    /// What the request asks for, if it may. A tail of several tenants counts as one of each.
    private func admitted(_ request: APIRequest) throws(APIError) -> TailRequest {
        let wanted = try TailRequest(request, logs)
        for tenant in wanted.tenants {
            let count = feed.watcherCount(tenant)
            let most = logs.tenantLimits(tenant).maxTails
            guard most == 0 || count < most else {
                throw APIError(
                    .badData,
                    "max concurrent tail requests limit exceeded, count > limit "
                        + "(\(count + 1) > \(most))")
            }
        }
        return wanted
    }

    /// The answer to whom no WebSocket was given.
    private func refusal(_ request: APIRequest) async throws -> APIResponse {
        _ = try admitted(request)
        throw APIError(
            .badData,
            "websocket: the client is not using the websocket protocol: 'upgrade' token not found "
                + "in 'Connection' header")
    }
}
