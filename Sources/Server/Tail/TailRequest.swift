// SPDX-License-Identifier: Apache-2.0
// What a live tail was asked for.

import Base
import HTTPTypes
import LogQL
import Telemetry

/// Parameters of `tail`. Source: grafana/loki `pkg/loghttp/tail.go`.
struct TailRequest: Sendable {
    static let greatestDelaySeconds = 5

    var selector: LogSelector
    /// As the request names it: one, or several as `a|b`.
    var tenant: Tenant
    /// Whose lines are watched, each once.
    var tenants: [Tenant]
    /// Whether streams have their tenant among their labels.
    var isJoined: Bool
    var startNanos: Int64
    /// Lines of history, the newest.
    var limit: Int
    var delayNanos: Int64
    var categorize: Bool

    /// - Throws: `APIError` with Loki's text.
    init(_ request: APIRequest, _ logs: LokiQueryEndpoints) throws(APIError) {
        guard case .log(let selector) = try logs.expression(request) else {
            throw APIError(.badData, "only log selector is supported")
        }
        self.selector = selector
        tenant = request.tenant
        let chosen = JoinedTenants.chosen(of: request.tenant, selector.matchers)
        isJoined = chosen != nil
        tenants = chosen ?? [request.tenant]
        let hour: Int64 = 3_600_000_000_000
        startNanos =
            try lokiTime(request.nonEmpty("start")) ?? (logs.service.clock.wallNanos &- hour)
        limit = try logs.limit(request)
        var seconds = 0
        if let text = request.nonEmpty("delay_for") {
            seconds = try goInteger(text)
            try checkUInt32(seconds, "delay_for")
            guard seconds >= 0 else {
                throw APIError(
                    .badData, "delay_for value \(seconds) is out of range [0, \(UInt32.max)]")
            }
        }
        guard seconds <= Self.greatestDelaySeconds else {
            throw APIError(
                .badData, "delay_for can't be greater than \(Self.greatestDelaySeconds)")
        }
        delayNanos = Int64(seconds) * 1_000_000_000
        categorize = request.headers[.encodingFlags]?.contains("categorize-labels") ?? false
    }
}

/// A whole number, with the text of Go's `strconv.Atoi` when it is none.
func goInteger(_ text: String) throws(APIError) -> Int {
    if let number = Int(text) { return number }
    let digits = text.utf8.drop { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") }
    let isTooLarge = !digits.isEmpty && digits.allSatisfy { (0x30...0x39).contains($0) }
    throw APIError(
        .badData,
        "strconv.Atoi: parsing \(quotedText(text)): "
            + (isTooLarge ? "value out of range" : "invalid syntax"))
}
