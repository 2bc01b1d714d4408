// SPDX-License-Identifier: Apache-2.0
// Falco, Kubernetes' audit webhook and Trivy.

import Base
import HTTPTypes
import Wire

/// A path for each kind of event whose form is its sender's.
struct EventEndpoints: Sendable {
    let writer: LogDoorWriter

    func routes() -> [Route] {
        [
            route("/insert/falco", .falco, FalcoEvents.mapping) {
                try FalcoEvents.decode($0, $1, receivedNanos: $2, limits: $3)
            },
            route("/insert/kubernetes-audit", .audit, AuditEvents.mapping) {
                try AuditEvents.decode($0, $1, receivedNanos: $2, limits: $3)
            },
            route("/insert/trivy", .trivy, TrivyReport.mapping) {
                try TrivyReport.decode($0, $1, receivedNanos: $2, limits: $3)
            },
        ]
    }

    private func route(
        _ path: String, _ door: LogDoor, _ mapping: LogRecordMapping,
        _ decode:
            @escaping @Sendable (UnsafeRawBufferPointer, LogRecordMapping, Int64, LogLimits) throws
            -> DecodedLogs
    ) -> Route {
        Route([.post, .put], path, .plain, bodyLimit: LogDoorWriter.bodyLimit) { request in
            try await writer.perform(request) {
                let mapping = try request.recordMapping(mapping)
                let plain = try request.plainBody(
                    accepting: LogDoorWriter.codings, limit: LogDoorWriter.bodyLimit)
                let limits = writer.lineLimits.limits(of: request.tenant)
                let decoded = try plain.withUnsafeBytes {
                    try decode($0, mapping, writer.clock.wallNanos, limits)
                }
                return try await writer.answer(decoded, from: door, request.tenant)
            }
        }
    }
}
