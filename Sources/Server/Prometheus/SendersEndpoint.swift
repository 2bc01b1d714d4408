// SPDX-License-Identifier: Apache-2.0
// status/senders: who sends a metric. Only Tern has it.

import Base
import Ingest

struct SendersEndpoint: Sendable {
    let senders: SenderTable

    /// `metric` chooses one; `limit` (100, at most 10,000) bounds the rows.
    func answer(_ request: APIRequest) async throws -> APIResponse {
        let limit = Int(request.nonEmpty("limit") ?? "100") ?? 0
        guard (1...10_000).contains(limit) else {
            throw APIError(.badData, "limit must be a number from 1 to 10000")
        }
        let rows = senders.senders(of: request.nonEmpty("metric"), tenant: request.tenant)
        return prometheusSuccess { json in
            json.beginArray()
            for (metric, entry) in rows.prefix(limit) {
                json.beginObject()
                json.member("metric", metric)
                json.member("via", entry.sender.via)
                json.member("address", entry.sender.address)
                json.member("agent", entry.sender.agent)
                json.member("lastSeen", rfc3339Text(millis: entry.lastMillis))
                json.member("batches", entry.batches)
                json.endObject()
            }
            json.endArray()
        }
    }
}
