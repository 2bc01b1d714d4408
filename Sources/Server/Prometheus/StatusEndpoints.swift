// SPDX-License-Identifier: Apache-2.0
// status/runtimeinfo and status/tsdb/blocks.

import Base
import FoundationEssentials
import Storage
import Telemetry

/// What Prometheus' status pages show. Source: prometheus/prometheus `web/api/v1/api.go`.
struct StatusEndpoints: Sendable {
    let core: Core
    let startup: Startup
    let scraping: Scraping

    func runtimeInfo(_ request: APIRequest) async throws -> APIResponse {
        let status = core.kernel.status
        let process = ProcessInfo.processInfo
        let start = startup.startWallNanos
        let now = core.queries.clock.wallNanos
        let reload = scraping.lastReload
        return prometheusSuccess { json in
            json.beginObject()
            json.member("startTime", rfc3339Text(nanos: start))
            json.member("CWD", FileManager.default.currentDirectoryPath)
            json.member("hostname", process.hostName)
            json.member("serverTime", rfc3339Text(nanos: now))
            json.member("reloadConfigSuccess", reload.isSuccessful)
            json.member("lastConfigTime", rfc3339Text(nanos: reload.atNanos))
            json.member("corruptionCount", status.faults.count)
            // Members of Go's runtime keep their place; there is none here.
            json.member("goroutineCount", 0)
            json.member("GOMAXPROCS", process.activeProcessorCount)
            json.member("GOMEMLIMIT", core.settings.memoryBytes)
            json.member("GOGC", "")
            json.member("GODEBUG", "")
            json.member(
                "storageRetention",
                durationText(millis: Int64(core.settings.kernel.retentionSeconds * 1000)))
            json.endObject()
        }
    }

    /// Parts of the tenant's metrics as Prometheus shows blocks: parts know rows, not chunks, so
    /// `numChunks` is the number of rows.
    func blocks(_ request: APIRequest) async throws -> APIResponse {
        let parts = core.kernel.partDescriptors.filter {
            $0.signal == .metrics && $0.tenant == request.tenant.name
        }
        return prometheusSuccess { json in
            json.beginObject()
            json.key("blocks")
            json.beginArray()
            for part in parts { write(part, into: &json) }
            json.endArray()
            json.endObject()
        }
    }

    private func write(_ part: PartDescriptor, into json: inout JSONWriter) {
        json.beginObject()
        json.member("ulid", String(part.id))
        json.key("minTime")
        json.int(part.minNanos / 1_000_000)
        json.key("maxTime")
        json.int(part.maxNanos / 1_000_000)
        json.key("stats")
        json.beginObject()
        json.member("numSamples", Int(clamping: part.rowCount))
        json.member("numBytes", Int(clamping: part.byteCount))
        json.endObject()
        json.key("compaction")
        json.beginObject()
        json.member("level", Int(part.level) + 1)
        json.endObject()
        json.member("version", 1)
        json.endObject()
    }
}
