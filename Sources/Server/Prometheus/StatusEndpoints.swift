// SPDX-License-Identifier: Apache-2.0
// status/runtimeinfo and status/tsdb.

import Base
import FoundationEssentials
import Storage
import Telemetry

/// What Prometheus' status pages show. Source: prometheus/prometheus `web/api/v1/api.go`.
struct StatusEndpoints: Sendable {
    let core: Core
    let startup: Startup
    let scraping: Scraping
    /// Series count as current when they have a sample this recent: Prometheus' head holds two to
    /// three hours.
    private static let recentMillis: Int64 = 7_200_000

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

    /// Cardinality of the tenant's series with samples of the last two hours, counted now.
    func tsdb(_ request: APIRequest) async throws -> APIResponse {
        let limit = Int(request.nonEmpty("limit") ?? "10") ?? 0
        guard limit >= 1 else { throw APIError(.badData, "limit must be a positive number") }
        guard limit <= 10_000 else { throw APIError(.badData, "limit must not exceed 10000") }
        let tenant = request.tenant
        let now = core.queries.clock.wallNanos / 1_000_000
        let range = MillisRange(first: Millis(now - Self.recentMillis), last: Millis(now))
        let reader = core.queries.metrics
        return try await core.queries.run { context in
            var counts = Cardinality()
            let set = try reader.select(
                SeriesRequest(tenant: tenant, matchers: [], range: range), context)
            for index in 0..<set.count {
                if index % 1024 == 0 { try context.check() }
                counts.add(set.labels(index))
            }
            return counts.answer(range, limit: limit)
        }
    }
}

/// Series by name, label and value.
private struct Cardinality {
    private var series = 0
    private var byName: [String: Int] = [:]
    private var byPair: [String: Int] = [:]
    private var valuesByLabel: [String: Set<String>] = [:]
    private var bytesByLabel: [String: Int] = [:]

    mutating func add(_ labels: Labels) {
        series += 1
        for (name, value) in labels.pairs {
            if name == "__name__" { byName[value, default: 0] += 1 }
            byPair[name + "=" + value, default: 0] += 1
            if valuesByLabel[name, default: []].insert(value).inserted {
                bytesByLabel[name, default: 0] += value.utf8.count
            }
        }
    }

    func answer(_ range: MillisRange, limit: Int) -> APIResponse {
        prometheusSuccess { json in
            json.beginObject()
            json.key("headStats")
            json.beginObject()
            json.member("numSeries", series)
            json.member("numLabelPairs", byPair.count)
            // Samples lie in columns here, not in chunks.
            json.member("chunkCount", 0)
            json.member("minTime", Int(range.first.rawValue))
            json.member("maxTime", Int(range.last.rawValue))
            json.endObject()
            let lists = [
                ("seriesCountByMetricName", byName),
                ("labelValueCountByLabelName", valuesByLabel.mapValues(\.count)),
                ("memoryInBytesByLabelName", bytesByLabel), ("seriesCountByLabelValuePair", byPair),
            ]
            for (name, counts) in lists { write(name, counts, limit, into: &json) }
            json.endObject()
        }
    }

    private func write(
        _ name: String, _ counts: [String: Int], _ limit: Int, into json: inout JSONWriter
    ) {
        let order = counts.sorted { $0.value == $1.value ? $0.key < $1.key : $0.value > $1.value }
        json.key(name)
        json.beginArray()
        for (name, count) in order.prefix(limit) {
            json.beginObject()
            json.member("name", name)
            json.member("value", count)
            json.endObject()
        }
        json.endArray()
    }
}
