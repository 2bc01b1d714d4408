// SPDX-License-Identifier: Apache-2.0
// Remote write over HTTP.

import Base
import Ingest
import Scrape
import Telemetry

/// Posts the requests of one destination.
struct RemoteWriteTransport: ForwardTransport {
    let http: OutgoingHTTP
    let settings: ForwardDestination
    /// Whether the destination is told whose data it gets.
    let namesTenants: Bool

    /// Bytes of an answer that are told in messages. Source: prometheus/prometheus
    /// `storage/remote/client.go`, `maxErrMsgLen`.
    private static let textBytes = 1024

    func send(_ request: ForwardRequest) async throws -> ForwardReply {
        var call = OutgoingRequest(settings.url, timeoutSeconds: request.timeoutSeconds)
        call.method = "POST"
        call.headers = settings.headers + request.headers.map { NamedText($0.name, $0.value) }
        if namesTenants, !call.headers.contains(where: { $0.name.lowercased() == "x-scope-orgid" })
        {
            call.headers.append(NamedText("X-Scope-OrgID", request.tenant.name))
        }
        call.body = request.body
        let answer = try await http.send(call, settings.client)
        var reply = ForwardReply(status: answer.status)
        reply.headers = answer.head.headers.map { ($0.name, trimmed($0.value)) }
        let text = String(decoding: answer.body.prefix(Self.textBytes), as: UTF8.self)
        reply.text = trimmed(text.split(separator: "\n").first ?? "")
        return reply
    }
}
