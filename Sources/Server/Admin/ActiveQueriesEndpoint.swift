// SPDX-License-Identifier: Apache-2.0
// status/active_queries: what runs now.

import Base
import Telemetry

extension StatusEndpoints {
    /// The tenant's queries under way, the oldest first. Upstream has no such path; the name is
    /// VictoriaMetrics'. `samplesRead`, `bytesRead` and `memoryBytes` are as of now, so that who asks
    /// again sees how a query gets on; `tags` are those of its header `X-Query-Tags`.
    func activeQueries(_ request: APIRequest) async throws -> APIResponse {
        let now = core.queries.clock.wallNanos
        let entries = core.queries.active?.current ?? []
        return prometheusSuccess { json in
            json.beginArray()
            for entry in entries where entry.query.tenant == request.tenant {
                json.beginObject()
                json.member("family", entry.query.family.rawValue)
                json.member("query", entry.query.text)
                json.member("start", rfc3339Text(nanos: entry.startNanos))
                json.key("durationSeconds")
                json.raw("\(Double(max(0, now - entry.startNanos)) / 1e9)")
                if let context = entry.context {
                    json.member("samplesRead", context.samplesRead)
                    json.member("bytesRead", context.bytesRead)
                    json.member("memoryBytes", context.heldBytes)
                }
                if let tags = entry.query.tags { json.member("tags", tags) }
                json.endObject()
            }
            json.endArray()
        }
    }
}
